"""How the caller's arguments replace what a config file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail import config_rope
from dovetail.config_values import GENERATION_DEFAULTS
from dovetail.errors import ConfigError

if TYPE_CHECKING:
    from dovetail.configs import PretrainedConfig

DTYPE_NAMES = ("torch_dtype", "dtype")
COMMON_KEYS = frozenset(
    {
        *DTYPE_NAMES,
        "num_labels",
        "id2label",
        "label2id",
        "attn_implementation",
        "_attn_implementation",
        "name_or_path",
        "rope_parameters",
        "transformers_version",
    }
)
"""Keys that every config has besides its fields."""


def is_key(cls: type[PretrainedConfig], name: str) -> bool:
    """Whether configs of this class have the key whatever their file says."""
    return (
        name in cls._known()
        or name in cls.sub_configs
        or name in GENERATION_DEFAULTS
        or name in COMMON_KEYS
    )


def override(
    cls: type[PretrainedConfig], values: Mapping[str, Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """`values` with those `arguments` that are keys of them or of `cls`, by any of their names.

    This comes before construction, so derived values follow the arguments and only the final state
    must be valid.
    """
    count, labels = arguments.get("num_labels"), arguments.get("id2label")
    if count is not None and labels is not None and len(labels) != count:
        raise ConfigError(
            f"num_labels={count} contradicts id2label, which names {len(labels)} labels; "
            "give one of them."
        )
    result = dict(values)
    config_rope.adopt(result, cls._known())
    for name, value in arguments.items():
        if name in values or is_key(cls, name):
            for other in _other_names(cls, name) - arguments.keys():
                result.pop(other, None)
            result[name] = value
    return result


def _other_names(cls: type[PretrainedConfig], name: str) -> set[str]:
    """Keys of a file that say the same as `name`, or would contradict it."""
    field = cls._aliases.get(name, name)
    names = {field, *(alias for alias, target in cls._aliases.items() if target == field)}
    if name in DTYPE_NAMES:
        names |= set(DTYPE_NAMES)
    if name in ("out_features", "out_indices"):
        names |= {"out_features", "out_indices"}
    if name in ("num_labels", "id2label"):
        names |= {"num_labels", "id2label", "label2id"}
    return names
