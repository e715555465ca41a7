"""The `tokenizers` library's object, shared by threads.

Truncation, padding and the reading of special tokens are settings of that object, not arguments of
its calls. Calls that want the same settings run side by side; a call that wants others waits until
those have left, and holds back newcomers meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError


class Truncation(NamedTuple):
    """The library's truncation settings."""

    max_length: int
    stride: int
    strategy: str
    direction: str


class Padding(NamedTuple):
    """The library's padding settings; `length` None pads to the longest of the batch."""

    length: int | None
    direction: str
    pad_id: int
    pad_token: str
    pad_type_id: int
    pad_to_multiple_of: int | None


class Settings(NamedTuple):
    """Everything a call of the library takes from its object."""

    truncation: Truncation | None = None
    padding: Padding | None = None
    split_special_tokens: bool = False


class Backend:
    """A `tokenizers.Tokenizer` with the settings of each call kept apart."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._turn = threading.Lock()
        self._state = threading.Condition()
        self._active = 0
        self._settings: Settings | None = None

    @contextmanager
    def using(self, settings: Settings) -> Iterator[Tokenizer]:
        """Hold the library's object with these settings."""
        with self._turn, self._state:
            if settings != self._settings:
                self._wait_until_idle()
                self._settings = None
                _apply(self.tokenizer, settings)
                self._settings = settings
            self._active += 1
        try:
            yield self.tokenizer
        finally:
            with self._state:
                self._active -= 1
                self._state.notify_all()

    def change(self, action: Callable[[Tokenizer], Any]) -> Any:
        """Run `action` on the library's object while no call uses it."""
        with self._turn, self._state:
            self._wait_until_idle()
            self._settings = None
            return action(self.tokenizer)

    def _wait_until_idle(self) -> None:
        while self._active:
            self._state.wait()

    def __deepcopy__(self, memo: dict[int, Any]) -> Backend:
        return Backend(Tokenizer.from_str(self.tokenizer.to_str()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.tokenizer.to_str(),)


def _rebuild(serialized: str) -> Backend:
    return Backend(Tokenizer.from_str(serialized))


def is_library_fault(failure: BaseException) -> bool:
    """Whether the library raised `failure`, which may be a panic and then no `Exception`."""
    return isinstance(failure, Exception) or type(failure).__name__ == "PanicException"


def _apply(tokenizer: Tokenizer, settings: Settings) -> None:
    truncation, padding = settings.truncation, settings.padding
    if truncation is None:
        tokenizer.no_truncation()
    else:
        try:
            tokenizer.enable_truncation(**truncation._asdict())
        except Exception as failure:  # the library raises nothing more specific
            raise TokenizerError(
                f"Cannot truncate with max_length={truncation.max_length} and "
                f"stride={truncation.stride}: {failure}. The stride must be smaller than "
                "max_length less the special tokens."
            ) from failure
    if padding is None:
        tokenizer.no_padding()
    else:
        tokenizer.enable_padding(**padding._asdict())
    tokenizer.encode_special_tokens = settings.split_special_tokens
