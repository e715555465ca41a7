"""The vocabulary of config declarations: ranged types, and the check of a value against a type.

A field is annotated with an ordinary type, or with one of the ranged types below::

    hidden_size: Size = 4096
    attention_dropout: Probability = 0.0
    num_key_value_heads: Size | None = None

Integers are accepted where a float is declared, and floats without fraction where an integer is,
because JSON files on the Hub hold both. Booleans are never numbers; null for a flag means off.
Lists and tuples become each other, JSON having only one of them."""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from dovetail.errors import ConfigError, ConfigTypeError, near_matches

__all__ = [
    "AnyFloat",
    "Fraction",
    "LabelCount",
    "LayerCount",
    "LayerType",
    "NonNegative",
    "NonNegativeFloat",
    "OpenFloat",
    "PositiveFloat",
    "Probability",
    "Range",
    "Size",
    "TokenId",
    "TokenIds",
    "fit",
]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, without `low` if `open_low`, without infinities if `finite`."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    finite: bool = True

    def __contains__(self, value: float) -> bool:
        if math.isnan(value) or (self.finite and math.isinf(value)):
            return False
        return (self.low < value if self.open_low else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.low == -math.inf:
            return "finite" if self.high == math.inf else f"at most {self.high:g}"
        low = f"greater than {self.low}" if self.open_low else f"at least {self.low}"
        return low if self.high == math.inf else f"{low} and at most {self.high}"


MAX_SIZE = 2**26
"""No published model has a larger dimension or vocabulary; Llama 4 counts ten million positions."""
MAX_LAYERS = 2**14
MAX_LABELS = 2**22

Size = Annotated[int, Range(1, MAX_SIZE)]
"""A dimension, a vocabulary, a number of heads or positions."""
NonNegative = Annotated[int, Range(0, MAX_SIZE)]
"""A count that may be zero."""
LayerCount = Annotated[int, Range(0, MAX_LAYERS)]
"""How often a block is repeated."""
LabelCount = Annotated[int, Range(0, MAX_LABELS)]
"""How many classes a head tells apart."""
TokenId = Annotated[int, Range(-(2**31), 2**31 - 1)]
"""A token id; checkpoints also use -1 for "none"."""
TokenIds = TokenId | list[TokenId] | None
"""One id, several (as ``eos_token_id`` may be), or none."""
Probability = Annotated[float, Range(0, 1)]
"""A dropout rate, or another share from 0 to 1."""
Fraction = Annotated[float, Range(0, 1, open_low=True)]
"""A share greater than 0."""
PositiveFloat = Annotated[float, Range(0, open_low=True)]
"""An epsilon, a base, a standard deviation that cannot be 0."""
NonNegativeFloat = Annotated[float, Range(0)]
"""A number that may be 0."""
AnyFloat = Annotated[float, Range()]
"""Any finite number: the same as a plain ``float``."""
OpenFloat = Annotated[float, Range(finite=False)]
"""A number that may be infinite, as limits are."""
LayerType = Literal[
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "linear_attention",
    "attention",
    "conv",
    "mamba",
    "sparse",
    "dense",
    "hybrid",
    "moe",
    "recurrent",
]
"""What kind of block a layer is."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


_WHOLE = object()


class _Misfit(Exception):
    """A value outside its type; `kind` says whether its type or its size is at fault."""

    def __init__(
        self, allowed: str, kind: type[ConfigError] = ConfigTypeError, hint: str = ""
    ) -> None:
        self.allowed, self.kind, self.hint = allowed, kind, hint
        self.place, self.value = "", _WHOLE


def fit(value: Any, annotation: Any, *, owner: str, key: str) -> Any:
    """`value` as `annotation` wants it, or a `ConfigError` naming `owner`, `key` and value.

    >>> fit(8.0, Size, owner="LlamaConfig", key="hidden_size")
    8
    """
    try:
        return _fit(value, annotation)
    except _Misfit as misfit:
        culprit = value if misfit.value is _WHOLE else misfit.value
        raise misfit.kind(
            f"{owner}: {key}{misfit.place}={_short.repr(culprit)} is not allowed, it must be "
            f"{misfit.allowed}."
            f"{misfit.hint} Correct it in the config file or in the arguments."
        ) from None


def _fit(value: Any, annotation: Any) -> Any:
    if annotation is Any or isinstance(annotation, TypeVar):
        return value
    origin = get_origin(annotation)
    if origin is None:
        return _fit_plain(value, annotation)
    fitters = {
        Annotated: _fit_range,
        Literal: _fit_literal,
        Union: _fit_union,
        types.UnionType: _fit_union,
    }
    fitter = fitters.get(origin)
    if fitter is not None:
        return fitter(value, annotation)
    return _fit_container(value, origin, get_args(annotation))


def _fit_plain(value: Any, kind: Any) -> Any:
    if kind is None or kind is type(None):
        if value is None:
            return None
        raise _Misfit("null")
    if kind is bool and (value is None or (type(value) is int and value in (0, 1))):
        return bool(value)
    if kind is int or kind is float:
        return _fit_number(value, kind)
    if kind in (list, tuple):
        kind = (list, tuple)
    if isinstance(kind, type | tuple):
        if isinstance(value, kind):
            return value
        raise _Misfit(_describe(kind))
    return value


def _fit_number(value: Any, kind: type) -> Any:
    value = _plain_number(value, kind)
    if kind is int and isinstance(value, float):
        if not value.is_integer():
            raise _Misfit(_describe(int))
        return int(value)
    if kind is float and not math.isfinite(value):
        raise _Misfit("a finite number", ConfigError)
    return value


def _plain_number(value: Any, kind: type) -> int | float:
    """A number as JSON has them; numpy's scalars become one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _Misfit(_describe(kind))
    if isinstance(value, int | float):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _fit_range(value: Any, annotation: Any) -> Any:
    base, *limits = get_args(annotation)
    bounds = [limit for limit in limits if isinstance(limit, Range)]
    if base is float and any(not limit.finite for limit in bounds):
        value = _plain_number(value, float)
    else:
        value = _fit(value, base)
    for limit in bounds:
        if value not in limit:
            raise _Misfit(f"{_describe(base)}, {limit}", ConfigError)
    return value


def _fit_literal(value: Any, annotation: Any) -> Any:
    choices = get_args(annotation)
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    hint = (
        near_matches(value, [c for c in choices if isinstance(c, str)])
        if isinstance(value, str)
        else ""
    )
    raise _Misfit(_describe(annotation), ConfigError, hint)


def _fit_union(value: Any, annotation: Any) -> Any:
    misfits: list[_Misfit] = []
    for option in get_args(annotation):
        try:
            return _fit(value, option)
        except _Misfit as misfit:
            misfits.append(misfit)
    for found in sorted(misfits, key=lambda found: -len(found.place)):
        if found.place or (found.kind is ConfigError and value is not None):
            raise found
    raise _Misfit(_describe(annotation))


def _fit_container(value: Any, origin: Any, parts: tuple[Any, ...]) -> Any:
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _fit_mapping(value, parts)
    if origin in (list, tuple) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return _fit_items(value, origin, parts)
    return value


def _fit_mapping(value: Any, parts: tuple[Any, ...]) -> Any:
    if not isinstance(value, Mapping):
        raise _Misfit("an object")
    return {
        _fit_part(k, parts[0], f"[{k!r}]"): _fit_part(v, parts[1], f"[{k!r}]")
        for k, v in value.items()
    }


def _fit_items(value: Any, origin: Any, parts: tuple[Any, ...]) -> Any:
    if not isinstance(value, list | tuple):
        raise _Misfit("a list")
    if origin is tuple and not (len(parts) == 2 and parts[1] is ...):
        if len(parts) != len(value):
            raise _Misfit(f"a list of {len(parts)} values", ConfigError)
        kinds = parts
    else:
        kinds = (parts[0],) * len(value)
    fitted = [
        _fit_part(item, kind, f"[{i}]")
        for i, (item, kind) in enumerate(zip(value, kinds, strict=True))
    ]
    return tuple(fitted) if origin is tuple else fitted


def _fit_part(value: Any, annotation: Any, place: str) -> Any:
    try:
        return _fit(value, annotation)
    except _Misfit as misfit:
        misfit.place = place + misfit.place
        misfit.value = value if misfit.value is _WHOLE else misfit.value
        raise


WORDS: dict[Any, str] = {
    Any: "anything",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    type(None): "null",
    list: "a list",
    tuple: "a list",
    (list, tuple): "a list",
    dict: "an object",
}


def _describe(annotation: Any) -> str:
    """`annotation` in the words of someone who edits JSON."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join([_describe(parts[0]), *(str(limit) for limit in parts[1:])])
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in parts)
    if origin is not None:
        return WORDS.get(origin, "an object")
    return WORDS.get(annotation) or f"a {getattr(annotation, '__name__', annotation)}"
