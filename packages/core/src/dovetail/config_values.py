"""What the values in a config file mean: data types, settings of ``generate``, plain data."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from dovetail.errors import ConfigError, ConfigTypeError, near_matches

CONFIG_NAME = "config.json"
FORMAT_VERSION = "4.46.3"
"""The release of the reference whose file format is written, for readers to know it by."""

GENERATION_DEFAULTS: Mapping[str, Any] = {
    "max_length": 20,
    "min_length": 0,
    "do_sample": False,
    "early_stopping": False,
    "num_beams": 1,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "num_return_sequences": 1,
    "output_scores": False,
    "return_dict_in_generate": False,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
"""Settings of ``generate`` which old model configs carry, and the values that mean "not set"."""

DTYPES = [
    "float64",
    "double",
    "float32",
    "float",
    "float16",
    "half",
    "bfloat16",
    "complex64",
    "complex128",
    "uint8",
    "int8",
    "int16",
    "short",
    "int32",
    "int",
    "int64",
    "long",
    "bool",
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
]
SYNONYMS = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "short": "int16",
    "int": "int32",
    "long": "int64",
}

CALLERS_CHOICE = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
"""What only the caller's arguments may choose: an implementation may be code that is fetched."""
NOT_WRITTEN = ("_commit_hash", "_attn_implementation_internal", "_attn_implementation_autoset")


def is_commit(value: object) -> bool:
    """Whether `value` is the full hash of a commit."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}", value) is not None


def dtype_name(value: Any) -> str | None:
    """The name of a torch data type given as ``torch.half``, ``"half"`` or ``"torch.half"``.

    >>> dtype_name("torch.half")
    'float16'
    """
    if value is None:
        return None
    name = str(value).removeprefix("torch.")
    if name not in DTYPES:
        raise ConfigError(
            f"torch_dtype={value!r} is no data type of torch.{near_matches(name, DTYPES)} "
            "Use a torch.dtype or a name such as 'float32', 'float16' or 'bfloat16'."
        )
    return SYNONYMS.get(name, name)


def plain(value: Any) -> Any:
    """A copy of `value` as plain data that JSON can hold, where there is a way."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(part) for part in value)
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return dtype_name(value)
    if hasattr(value, "to_dict"):
        nested = value.to_dict()
        nested.pop("transformers_version", None)
        return nested
    return copy.deepcopy(value)


def difference(
    value: Mapping[str, Any], default: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """The keys of a nested config that differ from what it is by `default` or, since a reader may
    know no more than its class, from that class's `own` defaults; and its model type."""
    changed = {
        name: part
        for name, part in value.items()
        if name not in default or not part == default[name] == own.get(name, part)
    }
    if "model_type" in value:
        changed["model_type"] = value["model_type"]
    return changed


def parse_like(text: str, old: Any, name: str) -> Any:
    """`text` read as the type of `old`, the value that key `name` has now."""
    if isinstance(old, bool):
        words = dict.fromkeys(("true", "1", "y", "yes"), True) | dict.fromkeys(
            ("false", "0", "n", "no"), False
        )
        if text.lower() not in words:
            raise ConfigError(f"{name}={text!r} is not allowed, it must be true or false.")
        return words[text.lower()]
    if not isinstance(old, int | float | str):
        raise ConfigTypeError(
            f"{name} holds {type(old).__name__}; only bool, int, float and str can be updated "
            "from text. Set the attribute instead."
        )
    try:
        return type(old)(text)
    except ValueError:
        raise ConfigTypeError(
            f"{name}={text!r} is not allowed, it must be of type {type(old).__name__}."
        ) from None


def integer_keys(mapping: Mapping[Any, Any], owner: str, key: str) -> dict[int, Any]:
    """`mapping` with the integers that JSON could only spell as strings."""
    try:
        return {int(name): value for name, value in mapping.items()}
    except (TypeError, ValueError):
        wrong = next(name for name in mapping if not str(name).lstrip("-").isdigit())
        raise ConfigTypeError(
            f"{owner}: {key} has the key {wrong!r}; its keys must be integers."
        ) from None
