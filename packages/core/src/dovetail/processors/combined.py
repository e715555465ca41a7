"""A tokenizer with an image processor or feature extractor, as one object."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import dovetail
from dovetail.atomic import atomic_write
from dovetail.dynamic import custom_object_save
from dovetail.errors import ProcessorError
from dovetail.hub import PushToHubMixin, cached_file
from dovetail.json_files import read_json_object
from dovetail.processors.kwargs import merge_kwargs
from dovetail.processors.preprocessor import split_options

PROCESSOR_FILE = "processor_config.json"
TEMPLATE_FILE = "chat_template.json"


class ProcessorMixin(PushToHubMixin):
    """Base of processors.

    A subclass lists its parts in `attributes` and names the class of each, for instance
    ``tokenizer_class = "AutoTokenizer"`` (a tuple of names: the last that exists), and may list
    further settings that its constructor takes in `valid_kwargs`.
    """

    attributes: ClassVar[list[str]] = ["feature_extractor", "tokenizer"]
    optional_attributes: ClassVar[list[str]] = ["chat_template"]
    optional_call_args: ClassVar[list[str]] = []
    valid_kwargs: ClassVar[list[str]] = []
    feature_extractor_class: ClassVar[str | tuple[str | None, ...] | None] = None
    tokenizer_class: ClassVar[str | tuple[str | None, ...] | None] = None
    _auto_class: ClassVar[str | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in self.optional_attributes:
            setattr(self, name, kwargs.pop(name, None))
        if len(args) > len(self.attributes):
            raise TypeError(
                f"{type(self).__name__} takes {len(self.attributes)} parts "
                f"({', '.join(self.attributes)}); got {len(args)}."
            )
        given = dict(zip(self.attributes, args, strict=False))
        unexpected = [name for name in kwargs if name not in self.attributes or name in given]
        if unexpected:
            raise TypeError(
                f"{type(self).__name__} got unexpected arguments {unexpected}; its "
                f"parts are {self.attributes}."
            )
        given |= kwargs
        missing = [name for name in self.attributes if name not in given]
        if missing:
            raise TypeError(f"{type(self).__name__} needs {' and '.join(missing)}.")
        for name, part in given.items():
            setattr(self, name, part)

    @property
    def parts(self) -> list[Any]:
        """The tokenizer, image processor and so on, in the order of `attributes`."""
        return [getattr(self, name) for name in self.attributes]

    @property
    def model_input_names(self) -> list[str] | None:
        """The names of the model's inputs that the first part makes."""
        return getattr(self.parts[0], "model_input_names", None)

    def to_dict(self) -> dict[str, Any]:
        """The settings that are the processor's own, not those of its parts."""
        own = {
            name: value
            for name, value in vars(self).items()
            if name not in self.attributes and name not in self.optional_attributes
        }
        own = {
            name: value
            for name, value in own.items()
            if not name.startswith("_") and value is not None
        }
        return {**own, "processor_class": type(self).__name__}

    def to_json_string(self) -> str:
        """`to_dict` as JSON with sorted keys."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write `to_json_string` to a file."""
        atomic_write(Path(json_file_path), self.to_json_string())

    def __repr__(self) -> str:
        listed = "\n".join(
            f"- {name}: {part!r}" for name, part in zip(self.attributes, self.parts, strict=True)
        )
        return f"{type(self).__name__}:\n{listed}\n\n{self.to_json_string()}"

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """Write all parts, ``processor_config.json`` and the chat template into one folder; the
        written paths of the last two."""
        folder = Path(save_directory)
        if folder.is_file():
            raise ProcessorError(
                f"{folder} is a file: save_pretrained needs a folder to write into."
            )
        folder.mkdir(parents=True, exist_ok=True)
        if self._auto_class is not None:
            custom_object_save(self, folder, config=self)
        for name, part in zip(self.attributes, self.parts, strict=True):
            if hasattr(part, "_set_processor_class"):
                part._set_processor_class(type(self).__name__)
            self._save_part(name, part, folder)
        written = []
        template = getattr(self, "chat_template", None)
        if template is not None:
            text = json.dumps({"chat_template": template}, indent=2, sort_keys=True) + "\n"
            atomic_write(folder / TEMPLATE_FILE, text)
            written.append(str(folder / TEMPLATE_FILE))
        if set(self.to_dict()) != {"processor_class"}:
            self.to_json_file(folder / PROCESSOR_FILE)
            written.append(str(folder / PROCESSOR_FILE))
        if push_to_hub:
            self._upload_folder(folder, **kwargs)
        return written

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
        """Load every part and the processor's own settings from a folder or the Hub.

        Raises:
            OSError: a part's file is not there.
            ProcessorError: a file that is not valid JSON.
        """
        kwargs |= {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
            "revision": revision,
        }
        args = cls._get_arguments_from_pretrained(pretrained_model_name_or_path, **kwargs)
        settings, changes = cls.get_processor_dict(pretrained_model_name_or_path, **kwargs)
        return cls.from_args_and_dict(args, settings, **changes)

    @classmethod
    def get_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of ``processor_config.json`` with the chat template, and the arguments that
        are settings."""
        hub, changes = split_options(kwargs)
        settings: dict[str, Any] = {}
        for name in (PROCESSOR_FILE, TEMPLATE_FILE):
            file = cached_file(pretrained_model_name_or_path, name, raise_on_missing=False, **hub)
            if file is not None:
                settings |= read_json_object(file, error=ProcessorError)
        return settings, changes

    @classmethod
    def from_args_and_dict(
        cls, args: Sequence[Any], processor_dict: dict[str, Any], **kwargs: Any
    ) -> Self:
        """Make one from its parts and its settings; `kwargs` replace settings."""
        accepted = (*cls.valid_kwargs, *cls.optional_attributes)
        settings = {name: value for name, value in processor_dict.items() if name in accepted}
        settings |= {name: value for name, value in kwargs.items() if name in accepted}
        return cls(*args, **settings)

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> list[Any]:
        """Each part, loaded through its class."""
        return [
            cls._load_part(name, pretrained_model_name_or_path, **kwargs) for name in cls.attributes
        ]

    def _save_part(self, name: str, part: Any, folder: Path) -> None:
        """Write one part's files."""
        part.save_pretrained(folder)

    @classmethod
    def _load_part(cls, name: str, source: str | os.PathLike[str], **kwargs: Any) -> Any:
        """One part, from a folder or the Hub."""
        return cls._part_class(name).from_pretrained(source, **kwargs)

    @classmethod
    def _part_class(cls, name: str) -> Any:
        declared = getattr(cls, f"{name}_class", None)
        names = declared if isinstance(declared, tuple) else (declared,)
        for candidate in reversed(names):
            if candidate is not None and hasattr(dovetail, candidate):
                return getattr(dovetail, candidate)
        raise ProcessorError(
            f"{cls.__name__}.{name}_class={declared!r} names no class that is installed."
        )

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "AutoProcessor") -> None:
        """Mark a class of your own as one that the auto class is to find."""
        cls._auto_class = auto_class if isinstance(auto_class, str) else auto_class.__name__

    def _merge_kwargs(
        self,
        ModelProcessorKwargs: type,
        tokenizer_init_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, Any]]:
        """The arguments of a call by part, see `dovetail.processors.kwargs.merge_kwargs`."""
        return merge_kwargs(ModelProcessorKwargs, tokenizer_init_kwargs, kwargs)

    def apply_chat_template(
        self,
        conversation: list[dict[str, Any]],
        chat_template: str | None = None,
        tokenize: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The conversation as the text (or ids) that the model was trained on, by the processor's
        template."""
        template = chat_template or getattr(self, "chat_template", None)
        tokenizer = self.tokenizer  # type: ignore[attr-defined]
        if template is None and getattr(tokenizer, "chat_template", None) is None:
            raise ProcessorError(
                f"{type(self).__name__} has no chat template: pass chat_template=..., or set "
                "processor.chat_template."
            )
        return tokenizer.apply_chat_template(
            conversation, chat_template=template, tokenize=tokenize, **kwargs
        )

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """The tokenizer's `batch_decode`."""
        return self.tokenizer.batch_decode(*args, **kwargs)  # type: ignore[attr-defined]

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """The tokenizer's `decode`."""
        return self.tokenizer.decode(*args, **kwargs)  # type: ignore[attr-defined]
