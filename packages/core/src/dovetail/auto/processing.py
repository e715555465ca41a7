"""The auto classes for what comes before a model: tokenizers, image processors, features, both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dovetail.auto.config import auto_map_of, config_for
from dovetail.auto.mapping import (
    ClassMapping,
    ClassNames,
    PairMapping,
    exported,
    named,
    pick,
    register,
    unfit,
)
from dovetail.auto.remote import RemoteCode
from dovetail.configs import PretrainedConfig
from dovetail.errors import (
    ConfigError,
    DovetailError,
    HubError,
    MissingPluginError,
    TokenizerError,
    UnknownNameError,
    near_matches,
)
from dovetail.hub import cached_file
from dovetail.json_files import read_json_object
from dovetail.logging import get_logger
from dovetail.registry import absence

logger = get_logger("dovetail.auto")

TOKENIZER_CONFIG_NAME = "tokenizer_config.json"
PREPROCESSOR_CONFIG_NAME = "preprocessor_config.json"
PROCESSOR_CONFIG_NAME = "processor_config.json"
TOKENIZER_FILE = "tokenizer.json"

GENERIC_TOKENIZERS = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend")
"""Names that stand for "what tokenizer.json says", of no architecture in particular."""

PARTS = ("Tokenizer", "ImageProcessor", "FeatureExtractor", "Processor")
"""How the names of the classes end that are picked here."""

TOKENIZER_MAPPING = PairMapping("tokenizer", twice=True)
IMAGE_PROCESSOR_MAPPING = PairMapping("image_processor", twice=False)
FEATURE_EXTRACTOR_MAPPING = ClassMapping("feature_extractor")
PROCESSOR_MAPPING = ClassMapping("processor")
TOKENIZER_MAPPING_NAMES = ClassNames("tokenizer")
IMAGE_PROCESSOR_MAPPING_NAMES = ClassNames("image_processor")
FEATURE_EXTRACTOR_MAPPING_NAMES = ClassNames("feature_extractor")
PROCESSOR_MAPPING_NAMES = ClassNames("processor")


class _Source:
    """A checkpoint and the small JSON files in it, read at most once."""

    def __init__(self, path: Any, kwargs: Mapping[str, Any]) -> None:
        self.path = Path(path).parent if os.path.isfile(path) else path
        names = RemoteCode.FETCHING
        self.where = {n: kwargs[n] for n in names if kwargs.get(n) is not None}
        self._read: dict[str, dict[str, Any]] = {}

    def json(self, name: str) -> dict[str, Any]:
        """The object in a JSON file, empty when there is no such file."""
        if name not in self._read:
            found = cached_file(self.path, name, raise_on_missing=False, **self.where)
            self._read[name] = {} if found is None else read_json_object(found)
        return self._read[name]

    def has(self, name: str) -> bool:
        """Whether the checkpoint has the file."""
        return cached_file(self.path, name, raise_on_missing=False, **self.where) is not None

    def config(self, given: Any, remote: RemoteCode) -> Any:
        """The checkpoint's config (or the `given` one), None without any that can be read."""
        if given is None and not self.has("config.json"):
            return None
        return config_for(self.path, given, **self.where, **remote.arguments)


def get_tokenizer_config(
    pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
) -> dict[str, Any]:
    """The object in a checkpoint's ``tokenizer_config.json``, empty when it has none."""
    return _Source(pretrained_model_name_or_path, kwargs).json(TOKENIZER_CONFIG_NAME)


def get_image_processor_config(
    pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
) -> dict[str, Any]:
    """The object in a checkpoint's ``preprocessor_config.json``, empty when it has none."""
    return _Source(pretrained_model_name_or_path, kwargs).json(PREPROCESSOR_CONFIG_NAME)


class _AutoPart:
    """What the auto classes of this module share."""

    slot: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise OSError(f"{name} is never instantiated: use {name}.from_pretrained(name_or_folder).")

    @classmethod
    def _choose(
        cls,
        source: _Source,
        remote: RemoteCode,
        given: Any,
        claims: Sequence[tuple[str | None, Mapping[str, Any]]],
    ) -> Any:
        """The class that the first file which names one asks for, else the architecture's own.

        `claims` are pairs of a class name in a file and that file's content.
        """
        for name, content in claims:
            found = None if name is None else cls._named(name)
            own = cls._own(source, remote, content, local=found is not None)
            if own is not None or found is not None:
                return own or found
        config = source.config(given, remote)
        found = None if config is None else cls._of_config(config)
        own = None if config is None else cls._own(source, remote, config, local=found is not None)
        if own is not None or found is not None:
            return own or found
        wanted = next((name for name, _ in claims if name), None)
        if wanted is not None:
            raise cls._unknown(wanted, source)
        if config is None:
            raise HubError(
                f"{source.path} has neither a file that names its {cls.slot.replace('_', ' ')} nor "
                "a config.json. Check the folder or the Hub id."
            )
        raise unfit(cls.slot, config)

    @classmethod
    def _own(cls, source: _Source, remote: RemoteCode, content: Any, *, local: bool) -> Any:
        auto_map = auto_map_of(content)
        return remote.find(cls.__name__, auto_map, source.path, local=local, **source.where)

    @classmethod
    def _named(cls, name: str) -> Any | None:
        return named((cls.slot,), name)

    @classmethod
    def _of_config(cls, config: Any) -> Any | None:
        return pick(cls.slot, type(config))

    @classmethod
    def _unknown(cls, name: str, source: _Source) -> DovetailError:
        missing = absence("public", name, f"{name!r}, for which {source.path} asks,")
        if missing is not None and name.removesuffix("Fast").endswith(PARTS):
            return missing
        near = near_matches(name, list(ClassNames(cls.slot).values()))
        return UnknownNameError(
            f"{source.path} asks for {name!r}, which no installed package provides.{near} "
            "Install the package that has it."
        )


class AutoTokenizer(_AutoPart):
    """Picks the tokenizer of a checkpoint."""

    slot = "tokenizer"

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """The tokenizer in a folder or a Hub repository.

        Its class is the one that ``tokenizer_config.json`` names, else the config's, else that of
        the architecture, else the generic one over ``tokenizer.json``. `tokenizer_type` (a model
        type), `config` and `trust_remote_code` influence the choice; the rest of `kwargs` goes to
        the tokenizer. `use_fast` is accepted: there is one implementation.

        Raises:
            HubError: the checkpoint cannot be found, or has no tokenizer.
            UnknownNameError: no installed package provides its class.
        """
        remote = RemoteCode.take(kwargs)
        given = kwargs.pop("config", None)
        kwargs.pop("use_fast", None)
        kwargs.pop("_from_auto", None)
        model_type = kwargs.pop("tokenizer_type", None)
        source = _Source(pretrained_model_name_or_path, kwargs)
        if model_type is not None:
            chosen = cls._of_type(model_type)
        else:
            chosen = cls._chosen(source, remote, given)
        return chosen.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)

    @classmethod
    def _of_type(cls, model_type: str) -> Any:
        from dovetail import registry

        target = registry.models().get(model_type).tokenizer
        if target is None:
            raise TokenizerError(f"The model type {model_type!r} has no tokenizer.")
        return registry.resolve(target)

    @classmethod
    def _chosen(cls, source: _Source, remote: RemoteCode, given: Any) -> Any:
        settings = source.json(TOKENIZER_CONFIG_NAME)
        try:
            return cls._choose(source, remote, given, cls._claims(source, settings, given))
        except (UnknownNameError, MissingPluginError, ConfigError, HubError) as error:
            # What tokenizer.json says is complete; a class adds only defaults.
            if not source.has(TOKENIZER_FILE):
                raise
            if settings.get("tokenizer_class"):
                logger.warning("%s Its tokenizer.json is read without that class.", error)
            return _generic_tokenizer()

    @classmethod
    def _claims(
        cls, source: _Source, settings: Mapping[str, Any], given: Any
    ) -> list[tuple[str | None, Mapping[str, Any]]]:
        values = source.json("config.json") if given is None else {}
        named_by_config = values.get("tokenizer_class") or getattr(given, "tokenizer_class", None)
        auto_map = settings.get("auto_map")
        # Old files list the slow and the fast class without naming the auto class.
        content = {"auto_map": {cls.__name__: auto_map}} if isinstance(auto_map, list) else settings
        return [(settings.get("tokenizer_class"), content), (named_by_config, {})]

    @classmethod
    def _named(cls, name: str) -> Any | None:
        if name in GENERIC_TOKENIZERS:
            return _generic_tokenizer()
        return named((cls.slot,), name) or named((cls.slot,), name.removesuffix("Fast"))

    @classmethod
    def _of_config(cls, config: Any) -> Any | None:
        parts = [getattr(config, name, None) for name in ("encoder", "text_config")]
        candidates = [config, *(part for part in parts if isinstance(part, PretrainedConfig))]
        found = next(filter(None, (pick(cls.slot, type(part)) for part in candidates)), None)
        return (
            next((one for one in reversed(found) if one), None)
            if isinstance(found, tuple)
            else found
        )

    @staticmethod
    def register(
        config_class: type,
        slow_tokenizer_class: type | None = None,
        fast_tokenizer_class: type | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Let `AutoTokenizer` pick a class for `config_class`, in this process.

        Raises:
            ConfigError: neither class is given.
            PluginConflictError: something is picked already and `exist_ok` is False.
        """
        if slow_tokenizer_class is None and fast_tokenizer_class is None:
            raise ConfigError("Give slow_tokenizer_class or fast_tokenizer_class.")
        pair = (slow_tokenizer_class, fast_tokenizer_class)
        register("tokenizer", config_class, pair, exist_ok=exist_ok)


def _generic_tokenizer() -> Any:
    from dovetail.tokenizers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast


class AutoImageProcessor(_AutoPart):
    """Picks the image processor of a checkpoint."""

    slot = "image_processor"

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """The image processor in a folder or a Hub repository.

        Its class is the one that ``preprocessor_config.json`` names, else that of the architecture;
        with `use_fast` the fast one, where there is one. It is passed on to the class.

        Raises:
            HubError: the checkpoint cannot be found.
            UnknownNameError: no installed package provides its class.
            ConfigError: the architecture has none.
        """
        remote = RemoteCode.take(kwargs)
        given, use_fast = kwargs.pop("config", None), kwargs.pop("use_fast", None)
        source = _Source(pretrained_model_name_or_path, kwargs)
        settings = source.json(PREPROCESSOR_CONFIG_NAME)
        name = settings.get("image_processor_type")
        if name is None and settings.get("feature_extractor_type"):
            name = settings["feature_extractor_type"].replace("FeatureExtractor", "ImageProcessor")
        chosen = cls._choose(source, remote, given, [(name, settings)])
        slow, fast = chosen if isinstance(chosen, tuple) else (chosen, None)
        if use_fast and fast is None and slow is not None:
            fast = named((cls.slot,), f"{slow.__name__.removesuffix('Fast')}Fast")
        chosen = (fast or slow) if use_fast or slow is None else slow
        if use_fast is not None:  # one class may do both
            kwargs["use_fast"] = use_fast
        return chosen.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)

    @staticmethod
    def register(
        config_class: type,
        image_processor_class: type | None = None,
        slow_image_processor_class: type | None = None,
        fast_image_processor_class: type | None = None,
        exist_ok: bool = False,
    ) -> None:
        """Let `AutoImageProcessor` pick a class for `config_class`, in this process.

        Raises:
            ConfigError: no class is given.
            PluginConflictError: something is picked already and `exist_ok` is False.
        """
        slow = slow_image_processor_class or image_processor_class
        if slow is None and fast_image_processor_class is None:
            raise ConfigError("Give image_processor_class or fast_image_processor_class.")
        pair = (slow, fast_image_processor_class)
        register("image_processor", config_class, pair, exist_ok=exist_ok)


class AutoFeatureExtractor(_AutoPart):
    """Picks the feature extractor of a checkpoint."""

    slot = "feature_extractor"

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """The feature extractor in a folder or a Hub repository.

        Raises:
            HubError: the checkpoint cannot be found.
            UnknownNameError: no installed package provides its class.
            ConfigError: the architecture has none.
        """
        remote = RemoteCode.take(kwargs)
        given = kwargs.pop("config", None)
        source = _Source(pretrained_model_name_or_path, kwargs)
        settings = source.json(PREPROCESSOR_CONFIG_NAME)
        claims = [(settings.get("feature_extractor_type"), settings)]
        chosen = cls._choose(source, remote, given, claims)
        return chosen.from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)

    @classmethod
    def _named(cls, name: str) -> Any | None:
        # Image processors were once called feature extractors.
        found = named((cls.slot, "image_processor"), name)
        return exported(name, "FeatureExtractor") if found is None else found

    @staticmethod
    def register(config_class: type, feature_extractor_class: type, exist_ok: bool = False) -> None:
        """Let `AutoFeatureExtractor` pick a class for `config_class`, in this process."""
        register("feature_extractor", config_class, feature_extractor_class, exist_ok=exist_ok)


class AutoProcessor(_AutoPart):
    """Picks the processor of a checkpoint, or what comes nearest: its tokenizer, its image
    processor, its feature extractor."""

    slot = "processor"

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> Any:
        """The processor in a folder or a Hub repository.

        Raises:
            HubError: the checkpoint cannot be found.
            UnknownNameError: no installed package provides its class.
            ConfigError: there is neither a processor nor a tokenizer nor anything like it.
        """
        remote = RemoteCode.take(kwargs)
        given = kwargs.pop("config", None)
        source = _Source(pretrained_model_name_or_path, kwargs)
        names = (PROCESSOR_CONFIG_NAME, PREPROCESSOR_CONFIG_NAME, TOKENIZER_CONFIG_NAME)
        contents = [source.json(name) for name in (*names, "config.json")]
        claims = [(content.get("processor_class"), content) for content in contents]
        chosen = None
        if given is not None or any(name for name, _ in claims) or contents[-1]:
            try:
                chosen = cls._choose(source, remote, given, claims)
            except ConfigError:
                chosen = None
        if chosen is not None:
            return chosen.from_pretrained(
                pretrained_model_name_or_path, **kwargs, **_consent(remote)
            )
        return cls._part(source, remote, kwargs, given)

    @classmethod
    def _part(
        cls, source: _Source, remote: RemoteCode, kwargs: Mapping[str, Any], given: Any
    ) -> Any:
        """The one part that a checkpoint without processor has."""
        settings = source.json(PREPROCESSOR_CONFIG_NAME)
        part: Any = AutoTokenizer
        if "image_processor_type" in settings:
            part = AutoImageProcessor
        elif "feature_extractor_type" in settings:
            part = AutoFeatureExtractor
        elif not (source.json(TOKENIZER_CONFIG_NAME) or source.has(TOKENIZER_FILE)):
            raise ConfigError(
                f"{source.path} has neither a processor nor a tokenizer nor anything like it "
                f"(none of {PROCESSOR_CONFIG_NAME}, {PREPROCESSOR_CONFIG_NAME}, "
                f"{TOKENIZER_CONFIG_NAME}, {TOKENIZER_FILE}). Save one into it."
            )
        return part.from_pretrained(source.path, config=given, **kwargs, **_consent(remote))

    @staticmethod
    def register(config_class: type, processor_class: type, exist_ok: bool = False) -> None:
        """Let `AutoProcessor` pick a class for `config_class`, in this process."""
        register("processor", config_class, processor_class, exist_ok=exist_ok)


def _consent(remote: RemoteCode) -> dict[str, Any]:
    return {name: value for name, value in remote.arguments.items() if value is not None}
