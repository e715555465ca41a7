"""What is configured by ``preprocessor_config.json``: reading, changing and writing it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from dovetail.atomic import atomic_write
from dovetail.dynamic import custom_object_save
from dovetail.errors import ProcessorError
from dovetail.hub import PushToHubMixin, cached_file
from dovetail.json_files import read_json_object

PREPROCESSOR_FILE = "preprocessor_config.json"

HUB_OPTIONS = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "token",
    "revision",
    "subfolder",
)
"""Arguments of ``from_pretrained`` that say where the file is; all others are settings."""

FOREIGN_OPTIONS = (
    "trust_remote_code",
    "use_fast",
    "code_revision",
    "proxies",
    "resume_download",
    "_from_auto",
)
"""Arguments which auto classes and pipelines pass to everything they load, and which say nothing
here."""


def split_options(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for the Hub and the settings among the arguments of a ``from_pretrained``."""
    hub = {name: kwargs[name] for name in HUB_OPTIONS if kwargs.get(name) is not None}
    settings = {
        n: v for n, v in kwargs.items() if n not in HUB_OPTIONS and n not in FOREIGN_OPTIONS
    }
    return hub, settings


class Preprocessor(PushToHubMixin):
    """Base of feature extractors and image processors: a bag of settings that is saved as JSON.

    Settings nobody declared are kept as attributes and written back.
    """

    _type_key: ClassVar[str]
    _auto_class: str | None = None

    def __init__(self, **kwargs: Any) -> None:
        self._processor_class: str | None = kwargs.pop("processor_class", None)
        for name, value in kwargs.items():
            setattr(self, name, value)

    def _set_processor_class(self, processor_class: str) -> None:
        self._processor_class = processor_class

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        **kwargs: Any,
    ) -> Self:
        """Load the settings from a folder, a JSON file or the Hub; further arguments replace
        settings.

        Raises:
            OSError: there is no ``preprocessor_config.json``.
            ProcessorError: it is not valid JSON.
        """
        settings, kwargs = cls._settings(
            pretrained_model_name_or_path,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            revision=revision,
            **kwargs,
        )
        return cls.from_dict(settings, **kwargs)

    @classmethod
    def _settings(
        cls, path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of the file, and the arguments that replace settings."""
        hub, changes = split_options(kwargs)
        file = Path(path)
        if not file.is_file():
            file = Path(str(cached_file(path, PREPROCESSOR_FILE, **hub)))
        return read_json_object(file, error=ProcessorError), changes

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **kwargs: Any) -> Self:
        """Make one from settings; `kwargs` replace those it has."""
        return_unused = kwargs.pop("return_unused_kwargs", False)
        try:
            made = cls(**copy.deepcopy(dict(settings)))
        except TypeError as error:
            raise ProcessorError(
                f"A {cls.__name__} cannot be made of the settings {sorted(settings)}: {error}. Are "
                "they those of another class?"
            ) from error
        unused = {}
        for name, value in kwargs.items():
            if hasattr(made, name):
                setattr(made, name, value)
            else:
                unused[name] = value
        return (made, unused) if return_unused else made  # type: ignore[return-value]

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> Self:
        """Make one from a JSON file."""
        return cls.from_dict(read_json_object(Path(json_file), error=ProcessorError))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """Write ``preprocessor_config.json`` into a folder (made if need be) and return its path
        in a list."""
        folder = Path(save_directory)
        if folder.is_file():
            raise ProcessorError(
                f"{folder} is a file: save_pretrained needs a folder to write into."
            )
        folder.mkdir(parents=True, exist_ok=True)
        files = [PREPROCESSOR_FILE]
        if self._auto_class is not None:
            files += custom_object_save(self, folder, config=self)
        self.to_json_file(folder / PREPROCESSOR_FILE)
        if push_to_hub:
            self._upload_folder(folder, files, **kwargs)
        return [str(folder / PREPROCESSOR_FILE)]

    def to_dict(self) -> dict[str, Any]:
        """All settings, with the name of the class."""
        settings = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {**copy.deepcopy(settings), self._type_key: type(self).__name__}

    def to_json_string(self) -> str:
        """`to_dict` as JSON, arrays as lists, with sorted keys."""
        settings = self.to_dict()
        if self._processor_class is not None:
            settings["processor_class"] = self._processor_class
        return json.dumps(settings, indent=2, sort_keys=True, default=_plain) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write `to_json_string` to a file, which a kill leaves old or new."""
        atomic_write(Path(json_file_path), self.to_json_string())

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _plain(value: Any) -> Any:
    """What JSON has for an object it does not know."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"A {type(value).__name__} ({value!r}) cannot be saved as a setting.")


class FeatureExtractionMixin(Preprocessor):
    """Base of feature extractors."""

    _type_key = "feature_extractor_type"

    @classmethod
    def get_feature_extractor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings in the file, and the arguments that were not used to find it."""
        return cls._settings(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "AutoFeatureExtractor") -> None:
        """Mark a class of your own as one that the auto class is to find."""
        cls._auto_class = auto_class if isinstance(auto_class, str) else auto_class.__name__
