"""What a single setting of ``generate`` may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from dovetail.errors import GenerationError


@dataclass(frozen=True)
class Check:
    """A condition with its wording."""

    allowed: str
    holds: Callable[[Any], bool]

    def __call__(self, name: str, value: Any) -> None:
        """Raise `GenerationError` naming the setting, its value and what is allowed."""
        if not self.holds(value):
            raise GenerationError(f"{name}={value!r}: it must be {self.allowed}")


def optional(check: Check) -> Check:
    """The same, or None."""
    return Check(f"{check.allowed}, or None", lambda value: value is None or check.holds(value))


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number; booleans are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number; booleans are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_token_ids(value: Any) -> bool:
    """Whether `value` is a token id, or a list or tensor of them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return all(is_integer(item) for item in value)
    return is_integer(value)


def token_tuple(value: Any) -> tuple[int, ...]:
    """The token ids of a setting (one, several, a tensor, None) as a tuple."""
    if value is None:
        return ()
    if hasattr(value, "tolist"):
        value = value.tolist()
    return (value,) if is_integer(value) else tuple(value)


POSITIVE = Check("an integer of at least 1", lambda value: is_integer(value) and value >= 1)
WHOLE = Check("an integer of at least 0", lambda value: is_integer(value) and value >= 0)
REAL = Check("a finite number", is_number)
POSITIVE_REAL = Check("a number above 0", lambda value: is_number(value) and value > 0)
FRACTION = Check("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
TOKEN_ID = Check("a token id", is_integer)
TOKEN_IDS = Check("a token id or a list of them", is_token_ids)
