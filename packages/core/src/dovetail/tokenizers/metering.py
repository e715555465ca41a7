"""How much a chat template may do: a budget that every step of a rendering is charged to.

Jinja's sandbox keeps a template from touching Python's inside, but a template of one line can still
run for years or ask for terabytes. So every value that a template makes is weighed before it is
kept, and operations whose result can be much larger than what goes in are measured before they run.
What is left is bounded work, and a clock ends its repetition.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from dovetail.errors import TemplateError

SECONDS = 1.0
"""Processor time of a rendering, to which a second is added for every megabyte of messages."""
CHARACTERS = 4 * 2**20
"""Size of one value, and of the whole output; sixteen times the messages' size is added."""
ITEMS = 2 * 10**6
"""Items of all containers that a template makes."""
BITS = 4096
"""Size of a whole number."""
NUMBER = 10**6
"""Largest number that a method or filter gets as a width, a count or the like."""
ITEM_WEIGHT = 32
CLOCK_EVERY = 16
HEAVY = 2**16
"""Weight of a value whose making may have taken milliseconds."""

GUARDED_METHODS = {
    "ljust",
    "rjust",
    "center",
    "zfill",
    "expandtabs",
    "join",
    "replace",
    "format",
    "format_map",
}
PLAIN_STRING_METHODS = {
    name
    for name in dir(str)
    if not name.startswith("_")
    and name not in GUARDED_METHODS | {"translate", "maketrans", "encode"}
}
VARIABLE_WIDTH = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*\{")
"""A field of a format whose width is one of the values."""
NUMBER_METHODS = {"is_integer", "bit_length", "bit_count", "as_integer_ratio", "hex", "conjugate"}


class Meter:
    """The budget of one rendering."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.limit = float("inf")
        self._known: dict[int, tuple[int, Any]] = {}
        size = sum(self.weigh(value) for value in context.values())
        self.limit = CHARACTERS + 16 * size
        self._made = 32 * CHARACTERS + 1024 * size
        self._items = ITEMS + 64 * len(self._known)
        self._deadline = time.thread_time() + SECONDS + size / 2**20
        self._steps = 0
        self.written = 0
        self.emitted = 0
        self.generated: list[tuple[int, int]] = []

    def tick(self, *, heavy: bool = False) -> None:
        """One step of the template; the clock is read after each `heavy` one, else now and then."""
        self._steps += 1
        due = heavy or self._steps % CLOCK_EVERY == 0
        if due and time.thread_time() > self._deadline:
            raise TemplateError(
                f"The chat template still runs after {SECONDS:.0f} s of processor time, so it is "
                "stopped: it loops without end, or does far more work than its messages need. Use "
                "another template."
            )

    def write(self, text: str) -> str:
        """Charge text that goes to the output, or to a block that is kept."""
        self.tick()
        self.written += len(text)
        if self.written > 4 * self.limit:
            raise self.too_large("output", self.written)
        return text

    def emit(self, text: str) -> None:
        """Charge text that has reached the output."""
        self.emitted += len(text)
        if self.emitted > self.limit:
            raise self.too_large("output", self.emitted)

    def keep(self, value: Any) -> Any:
        """Charge a value that the template has made, and hand it back."""
        if isinstance(value, int) and value.bit_length() > BITS:
            raise self.too_large("number", value.bit_length() / 3)
        weight = self.weigh(value)
        self.tick(heavy=weight > HEAVY)
        self.allow(weight)
        if isinstance(value, str):
            self._made -= weight
            if self._made < 0:
                raise self.too_large("texts", weight)
        return value

    def allow(self, size: float) -> None:
        """Refuse a value of about `size` characters if that is more than any template needs."""
        if size > self.limit:
            raise self.too_large("value", size)

    def too_large(self, what: str, size: float) -> TemplateError:
        """The error of a budget that is spent."""
        return TemplateError(
            f"The chat template makes a {what} of more than {size:.3g} characters, where these "
            f"messages allow {self.limit:.3g}, so it is stopped. Use another template."
        )

    def weigh(self, value: Any) -> int:
        """About how many characters `value` prints as, what is shared counted each time."""
        if isinstance(value, str | bytes):
            return len(value)
        if isinstance(value, int):
            return 8 + value.bit_length() // 3
        if not isinstance(value, list | tuple | dict | set | frozenset):
            return 8
        known = self._known.get(id(value))
        if known is not None:
            return known[0]
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        weight = ITEM_WEIGHT + sum(ITEM_WEIGHT + self.weigh(part) for part in parts)
        if self.limit != float("inf"):
            self._items -= 1 + len(value)
            if self._items < 0:
                raise self.too_large("list", weight)
        self._known[id(value)] = (weight, value)  # kept alive, or its id could become another's
        return weight


METER: ContextVar[Meter] = ContextVar("dovetail_template_meter")


def check_binary(operator: str, left: Any, right: Any) -> None:
    """Refuse a binary operation whose result would be out of all proportion."""
    meter = METER.get()
    meter.tick()
    if operator == "**":
        if (
            isinstance(left, int)
            and isinstance(right, int)
            and abs(right) * left.bit_length() > BITS
        ):
            raise meter.too_large("number", abs(right) * left.bit_length() / 3)
    elif operator == "*":
        _check_product(meter, left, right)
    elif operator == "+":
        meter.allow(meter.weigh(left) + meter.weigh(right))
    elif operator == "%" and isinstance(left, str | bytes):
        parts = right if isinstance(right, tuple) else (right,)
        check_format(str(left), parts, "%")


def _check_product(meter: Meter, left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > BITS:
            raise meter.too_large("number", (left.bit_length() + right.bit_length()) / 3)
        return
    for count, value in ((left, right), (right, left)):
        if isinstance(count, int):
            meter.allow(max(count, 0) * (meter.weigh(value) if not isinstance(value, float) else 0))


def check_format(pattern: str, values: Sequence[Any], mark: str) -> None:
    """Refuse a format whose fields could fill more than the budget."""
    meter = METER.get()
    fields = pattern.count(mark)
    widths = sum(min(int(digits[:9]), 10**9) for digits in re.findall(r"\d+", pattern))
    if VARIABLE_WIDTH.search(pattern.replace("{{", "").replace("}}", "")):
        raise TemplateError(
            f"A chat template may not take a width from a value, as {pattern!r:.80} does. "
            "Use another template."
        )
    each = sum(meter.weigh(value) for value in values)
    meter.allow(len(pattern) + widths + fields * (each + 64))


def check_method(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Refuse a call of a built-in type's method that is unbounded, or unknown to be bounded."""
    function = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, str):
        if name in GUARDED_METHODS:
            _check_string(owner, name, [*args, *kwargs.values()])
        elif name not in PLAIN_STRING_METHODS:
            raise TemplateError(
                f"A chat template may not call the string method {name!r}. Use another template."
            )
    elif (
        isinstance(owner, int | float | complex | bytes | bytearray) and name not in NUMBER_METHODS
    ):
        raise TemplateError(
            f"A chat template may not call {type(owner).__name__}.{name}. Use another template."
        )
    elif name == "strftime":
        check_time_format(args[0] if args else "")


def check_time_format(pattern: Any) -> None:
    """Refuse a time format that asks for padding to a width, or is no short text."""
    if not isinstance(pattern, str) or len(pattern) > 1000 or re.search(r"%[^a-zA-Z%]*\d", pattern):
        raise TemplateError(
            f"{str(pattern)!r:.80} is no time format a chat template needs. Use another template."
        )


def _check_string(text: str, name: str, args: list[Any]) -> None:
    meter = METER.get()
    if name in ("format", "format_map"):
        check_format(text, args, "{")
    elif name == "replace":
        check_replace(text, *args[:2])
    elif name == "join":
        check_join(text, args[0] if args else ())
    elif name == "expandtabs":
        meter.allow(len(text) * (number(args[0]) if args else 8))
    else:
        meter.allow(number(args[0]) if args else 0)


def check_replace(text: Any, old: Any = "", new: Any = "") -> None:
    """Refuse a replacement that makes `text` huge."""
    text, old, new = str(text), str(old), str(new)
    METER.get().allow(len(text) + text.count(old) * max(len(new) - len(old), 0))


def check_join(separator: Any, parts: Any) -> None:
    """Refuse to join parts with a separator that makes the result huge."""
    if hasattr(parts, "__len__"):
        METER.get().allow(METER.get().weigh(parts) + len(parts) * len(str(separator)))


def number(value: Any) -> int:
    """A width or count, if it is one that a template can need."""
    if isinstance(value, int) and abs(value) > NUMBER:
        raise METER.get().too_large("value", abs(value))
    return int(value) if isinstance(value, int) else 0
