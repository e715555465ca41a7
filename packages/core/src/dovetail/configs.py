"""The base of all model configurations: a typed declaration, read, validated and written back.

A subclass lists its fields with types and defaults; the constructor, validation and serialization
follow from them::

    class TinyConfig(PretrainedConfig):
        model_type = "tiny"  # not annotated: a constant of the class
        attribute_map = {"n_embd": "hidden_size"}  # another name of a field
        hidden_size: Size = 64
        num_heads: Size = 4

        def check(self) -> None:
            if self.hidden_size % self.num_heads:
                raise ConfigError(
                    f"num_heads={self.num_heads} does not divide hidden_size={self.hidden_size}"
                )

Keys that no field declares are kept as attributes and written back. Nothing in a config is
imported or executed.
"""

from __future__ import annotations

import copy
import inspect
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, dataclass_transform

from dovetail import config_files, config_rope
from dovetail.atomic import atomic_write
from dovetail.config_attributes import Attributes
from dovetail.config_declared import RESERVED
from dovetail.config_fields import (
    AnyFloat,
    Fraction,
    LabelCount,
    LayerCount,
    LayerType,
    NonNegative,
    NonNegativeFloat,
    OpenFloat,
    PositiveFloat,
    Probability,
    Range,
    Size,
    TokenId,
    TokenIds,
    fit,
)
from dovetail.config_overrides import DTYPE_NAMES, is_key, override
from dovetail.config_values import (
    CALLERS_CHOICE,
    CONFIG_NAME,
    FORMAT_VERSION,
    GENERATION_DEFAULTS,
    NOT_WRITTEN,
    difference,
    dtype_name,
    integer_keys,
    is_commit,
    parse_like,
    plain,
)
from dovetail.errors import ConfigError, ConfigTypeError, near_matches
from dovetail.json_files import read_json_object
from dovetail.logging import get_logger
from dovetail.pushing import PushToHubMixin

if TYPE_CHECKING:
    pass

__all__ = [
    "CONFIG_NAME",
    "FORMAT_VERSION",
    "GENERATION_DEFAULTS",
    "AnyFloat",
    "ConfigError",
    "Fraction",
    "LabelCount",
    "LayerCount",
    "LayerType",
    "NonNegative",
    "NonNegativeFloat",
    "OpenFloat",
    "PositiveFloat",
    "PretrainedConfig",
    "Probability",
    "Range",
    "Size",
    "TokenId",
    "TokenIds",
    "dtype_name",
]

logger = get_logger(__name__)

ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


@dataclass_transform()
class PretrainedConfig(PushToHubMixin, Attributes, keywords_only=True):
    """What all model configurations have in common; the module says how to declare one.

    Arguments are the fields, by position in the order of declaration or by name, and any further
    key, which is kept. Raises `ConfigError` for a value that cannot be and `ConfigTypeError` for
    one of a wrong type.
    """

    model_type: ClassVar[str] = ""
    base_config_key: ClassVar[str] = ""
    is_composition: ClassVar[bool] = False
    has_no_defaults_at_init: ClassVar[bool] = False
    keys_to_ignore_at_inference: ClassVar[list[str]] = []
    _auto_class: ClassVar[str | None] = None

    return_dict: bool = True
    output_hidden_states: bool = False
    output_attentions: bool = False
    torchscript: bool = False
    use_bfloat16: bool = False
    tf_legacy_loss: bool = False
    pruned_heads: dict[Any, Any] = {}  # noqa: RUF012 - copied for each instance
    tie_word_embeddings: bool = True
    chunk_size_feed_forward: NonNegative = 0
    is_encoder_decoder: bool = False
    is_decoder: bool = False
    cross_attention_hidden_size: Size | None = None
    add_cross_attention: bool = False
    tie_encoder_decoder: bool = False
    architectures: list[str] | None = None
    finetuning_task: str | None = None
    tokenizer_class: str | None = None
    prefix: str | None = None
    bos_token_id: TokenIds = None
    pad_token_id: TokenIds = None
    eos_token_id: TokenIds = None
    sep_token_id: TokenIds = None
    decoder_start_token_id: TokenIds = None
    task_specific_params: dict[str, Any] | None = None
    problem_type: ProblemType | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        values = cls._by_name(args, kwargs)
        fields = cls._field_types()
        attention = self._set_hidden(values)
        config_rope.adopt(values, cls._known())
        self._set_sub_configs(values)
        for name in fields:
            setattr(self, name, values.pop(name) if name in values else cls._default(name))
        for name, value in GENERATION_DEFAULTS.items():
            if name not in fields and name not in cls._aliases:
                setattr(self, name, values.pop(name, copy.copy(getattr(cls, name, value))))
        self._set_labels(values)
        for name, value in values.items():
            self._set_unknown(name, value)
        self._attn_implementation = attention
        self.derive()
        self.validate()

    def derive(self) -> None:
        """Fill in what follows from other fields, once they are set. Override in subclasses."""

    def check(self) -> None:
        """Refuse fields that contradict each other with a `ConfigError`. Override in subclasses."""

    def validate(self) -> None:
        """Check the fields against each other; done at construction and before saving."""
        owner, fields = type(self).__name__, self._field_types()
        layers = getattr(self, "num_hidden_layers", None)
        if isinstance(layers, int):
            fit(layers, LayerCount, owner=owner, key="num_hidden_layers")
        kinds = getattr(self, "layer_types", None) if "layer_types" in fields else None
        if kinds is not None and layers is not None and len(kinds) != layers:
            raise ConfigError(
                f"{owner}: layer_types names {len(kinds)} layers where num_hidden_layers={layers}; "
                "give one entry for each layer."
            )
        scaling = self.__dict__.get("rope_scaling") if "rope_scaling" in fields else None
        if scaling:
            config_rope.check(scaling, owner)
        self.check()

    def _set_hidden(self, values: dict[str, Any]) -> Any:
        """Set what is no field; returns the attention implementation, which comes later."""
        dtypes = [values.pop(name, None) for name in ("dtype", "torch_dtype")]
        self.torch_dtype = next((dtype for dtype in dtypes if dtype is not None), None)
        names = [values.pop(name, None) for name in ("name_or_path", "_name_or_path")]
        self.name_or_path = names[0] or names[1] or ""
        commit = values.pop("_commit_hash", None)
        self._commit_hash: str | None = commit if is_commit(commit) else None
        self.transformers_version: str | None = values.pop("transformers_version", None)
        for name in ("model_type", "_attn_implementation_autoset"):
            values.pop(name, None)
        if isinstance(values.get("pruned_heads"), Mapping):
            owner = type(self).__name__
            values["pruned_heads"] = integer_keys(values["pruned_heads"], owner, "pruned_heads")
        requested = [values.pop(name, None) for name in CALLERS_CHOICE]
        return next((name for name in requested if name is not None), None)

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        for name, kind in type(self).sub_configs.items():
            value = values.get(name)
            if isinstance(value, PretrainedConfig) or (value is None and kind == "auto"):
                continue
            if not isinstance(value, Mapping | None):
                raise ConfigTypeError(
                    f"{type(self).__name__}: {name} must be an object or a config, not "
                    f"{type(value).__name__}."
                )
            try:
                values[name] = _sub_config_class(kind, value or {})(**(value or {}))
            except ConfigError as failure:
                raise type(failure)(f"{type(self).__name__}, in {name}: {failure}") from failure

    def _set_unknown(self, name: str, value: Any) -> None:
        """Keep a key that no field declares, unless it would hide a method of the config."""
        found = inspect.getattr_static(type(self), name, None)
        if name in RESERVED:
            self.__dict__[name] = value
            return
        settable = getattr(found, "fset", None) is not None
        if name.startswith("__") or not (
            settable or not (callable(found) or hasattr(found, "__get__"))
        ):
            raise ConfigError(
                f"{type(self).__name__}: the key {name!r} would replace the config's own {name!r}. "
                "Remove it from the config file or the arguments."
            )
        setattr(self, name, value)

    def get_text_config(self, decoder: bool = False) -> PretrainedConfig:
        """The config of the text part (`decoder`: of the one which generates), or this one.

        Raises ValueError when there are several.
        """
        names = ["decoder", "generator", "text_config"]
        if not decoder:
            names.insert(0, "text_encoder")
        found = [n for n in names if isinstance(getattr(self, n, None), PretrainedConfig)]
        if len(found) > 1:
            raise ConfigError(
                f"{type(self).__name__} has several text configs ({', '.join(found)}); name the "
                "one you mean, "
                f"as in config.{found[0]}."
            )
        return getattr(self, found[0]) if found else self

    def _get_non_default_generation_parameters(self) -> dict[str, Any]:
        """The settings of ``generate`` in this config that are not its class's defaults."""
        text_config = self.get_text_config(decoder=True)
        defaults = dict(GENERATION_DEFAULTS) | _class_defaults(type(text_config))
        found = {name: getattr(text_config, name, None) for name in GENERATION_DEFAULTS}
        return {
            name: value
            for name, value in found.items()
            if value is not None and value != defaults[name]
        }

    # --- reading ---

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
    ) -> Any:
        """The config in a folder, a JSON file or a Hub repository, changed by the arguments.

        With ``return_unused_kwargs=True`` the result is the config and the arguments that name no
        key of it.
        """
        kwargs |= {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
            "revision": revision,
        }
        config_dict, kwargs = cls.get_config_dict(pretrained_model_name_or_path, **kwargs)
        key = cls.base_config_key
        if key and isinstance(config_dict.get(key), Mapping):
            kwargs.setdefault("_commit_hash", config_dict.get("_commit_hash"))
            config_dict = dict(config_dict[key])
        found = config_dict.get("model_type")
        if found and cls.model_type and found != cls.model_type:
            logger.warning(
                "%s holds a config of model type %r, which is read as %r (%s). Use AutoConfig, "
                "or the config class of %r.",
                pretrained_model_name_or_path,
                found,
                cls.model_type,
                cls.__name__,
                found,
            )
        try:
            return cls.from_dict(config_dict, **kwargs)
        except ConfigError as failure:
            raise type(failure)(
                f"{failure} (read from {pretrained_model_name_or_path})"
            ) from failure

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The raw values of a config file, and the arguments not needed to find it."""
        return config_files.read(pretrained_model_name_or_path, kwargs)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """A config from key values, replaced by those of `kwargs` that are keys of it."""
        values = config_files.without_callers_choice(config_dict)
        return_unused = kwargs.pop("return_unused_kwargs", False)
        for name in ("_from_auto", "_from_pipeline"):
            kwargs.pop(name, None)
        values["_commit_hash"] = kwargs.pop("_commit_hash", config_dict.get("_commit_hash"))
        config = cls(**override(cls, values, kwargs))
        unused = {
            name: value
            for name, value in kwargs.items()
            if name in DTYPE_NAMES or not (name in values or is_key(cls, name))
        }
        return (config, unused) if return_unused else config

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> Self:
        """A config from the path of a JSON file."""
        return cls(**config_files.without_callers_choice(cls._dict_from_json_file(json_file)))

    @classmethod
    def _dict_from_json_file(cls, json_file: str | os.PathLike[str]) -> dict[str, Any]:
        return read_json_object(os.fspath(json_file))

    # --- writing ---

    def to_dict(self) -> dict[str, Any]:
        """All key values, nested configs included, as plain data."""
        output = {
            name: plain(value) for name, value in self.__dict__.items() if name not in NOT_WRITTEN
        }
        return output | {
            "model_type": type(self).model_type,
            "transformers_version": FORMAT_VERSION,
        }

    def to_diff_dict(self) -> dict[str, Any]:
        """The values a reader could not guess: those unlike the defaults of base or class."""
        base, own = _class_defaults(PretrainedConfig), _class_defaults(type(self))
        result = {}
        for name, value in self.to_dict().items():
            sub = self.__dict__.get(name)
            if isinstance(sub, PretrainedConfig) and isinstance(own.get(name), dict):
                value = difference(value, own[name], _class_defaults(type(sub)))
                if not value:
                    continue
            elif (
                name in base
                and name != "transformers_version"
                and value == base[name] == own.get(name, value)
            ):
                continue
            result[name] = value
        return result

    def to_json_string(self, use_diff: bool = True) -> str:
        """The text of ``config.json``; `use_diff` leaves defaults out."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        values.pop("_name_or_path", None)  # where this copy came from is true here only
        try:
            return json.dumps(values, indent=2, sort_keys=True) + "\n"
        except (TypeError, ValueError) as failure:
            raise ConfigTypeError(
                f"{type(self).__name__} holds a value that JSON has no form for: {failure}. "
                "Replace it by plain data."
            ) from failure

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write the config to a file, in one piece."""
        atomic_write(json_file_path, self.to_json_string(use_diff=use_diff))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> None:
        """Write ``config.json`` into a folder; `push_to_hub` uploads it, with `kwargs`."""
        self.validate()
        misplaced = self._get_non_default_generation_parameters()
        if misplaced:
            warnings.warn(
                f"The model config carries settings of generate(): {misplaced}. "
                "Set them on model.generation_config instead, which is saved beside the config.",
                UserWarning,
                stacklevel=2,
            )
        folder = Path(save_directory)
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; save_pretrained needs a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        files = [CONFIG_NAME]
        if type(self)._auto_class is not None:
            from dovetail.dynamic import custom_object_save

            files += custom_object_save(self, folder, config=self)
        self.to_json_file(folder / CONFIG_NAME)
        if push_to_hub:
            self._upload_folder(folder, files, **kwargs)

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several keys."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    def update_from_string(self, update_str: str) -> None:
        """Set keys from text such as ``"n_embd=10,is_decoder=true"``, each as its present type."""
        for pair in update_str.split(","):
            name, found, text = pair.partition("=")
            if not found or not hasattr(self, name):
                known = near_matches(name, self.__dict__)
                raise ConfigError(
                    f"{type(self).__name__} has no key {name!r} to update from {pair!r}.{known}"
                )
            setattr(self, name, parse_like(text, getattr(self, name), name))

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "AutoConfig") -> None:
        """Let `AutoConfig` find a class of your own; its source is saved with the config."""
        from dovetail import auto

        name = auto_class if isinstance(auto_class, str) else auto_class.__name__
        if not hasattr(auto, name):
            raise ConfigError(f"{name!r} is no auto class.{near_matches(name, vars(auto))}")
        cls._auto_class = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _class_defaults(cls: type[PretrainedConfig]) -> dict[str, Any]:
    """What an instance made without arguments writes; nothing where that cannot be made."""
    if cls.is_composition or cls.has_no_defaults_at_init:
        return {}
    try:
        return cls().to_dict()
    except ConfigError:
        return {}


def _sub_config_class(kind: Any, value: Mapping[str, Any]) -> type[PretrainedConfig]:
    if isinstance(kind, type) and issubclass(kind, PretrainedConfig):
        return kind
    from dovetail import registry

    if kind == "auto" or getattr(kind, "__name__", "") == "AutoConfig":
        model_type = value.get("model_type")
        if not isinstance(model_type, str):
            raise ConfigError(f"model_type={model_type!r} must name the architecture of this part.")
        kind = registry.models().get(model_type).config
    return registry.resolve(kind)
