"""Streamers receive tokens while ``generate`` runs and hand out text as soon as whole words are
there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from queue import Queue
from typing import Any, Protocol

from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.characters import is_cjk


class Decoder(Protocol):
    """What streamers need of a tokenizer."""

    def decode(self, token_ids: list[int], **kwargs: Any) -> str:
        """The text of token ids."""


class BaseStreamer:
    """The interface of a streamer: `put` receives the prompt first and then each new token, `end`
    closes the text.
    """

    def put(self, value: Tensor) -> None:
        """Receive the prompt (1, T) or the next token (1,)."""
        raise NotImplementedError(f"{type(self).__name__} must define put(value)")

    def end(self) -> None:
        """The last token was put."""
        raise NotImplementedError(f"{type(self).__name__} must define end()")


class TextStreamer(BaseStreamer):
    """Writes text to standard output, word by word. `decode_kwargs` go to the tokenizer's
    ``decode``.
    """

    def __init__(self, tokenizer: Decoder, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self.token_cache: list[int] = []
        self.print_len = 0  # characters of the cached tokens' text that are out already
        self.next_tokens_are_prompt = True

    def put(self, value: Tensor) -> None:
        """Receive the prompt (1, T) or the next token (1,); write what can no longer change."""
        if value.dim() > 1 and value.shape[0] > 1:
            raise GenerationError(
                f"{type(self).__name__} follows one text, not a batch of {value.shape[0]}"
            )
        is_prompt, self.next_tokens_are_prompt = self.next_tokens_are_prompt, False
        if is_prompt and self.skip_prompt:
            return
        self.token_cache.extend(value.flatten().tolist())
        text = self._cached_text()
        if text.endswith("\n"):
            self._flush(text)
        elif text and is_cjk(ord(text[-1])):  # written without spaces: each character is final
            self._emit(text[self.print_len :])
        else:  # the last word may go on with the next token
            self._emit(text[self.print_len : text.rfind(" ") + 1])

    def end(self) -> None:
        """Write what is left and close the text."""
        rest = self._cached_text()[self.print_len :] if self.token_cache else ""
        self.token_cache, self.print_len = [], 0
        self.next_tokens_are_prompt = True
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Hand out a piece of text: here, write it to standard output."""
        sys.stdout.write(text + ("\n" if stream_end else ""))
        sys.stdout.flush()

    def _cached_text(self) -> str:
        return self.tokenizer.decode(self.token_cache, **self.decode_kwargs)

    def _flush(self, text: str) -> None:
        piece = text[self.print_len :]
        self.token_cache, self.print_len = [], 0
        self.on_finalized_text(piece)

    def _emit(self, piece: str) -> None:
        self.print_len += len(piece)
        self.on_finalized_text(piece)


class TextIteratorStreamer(TextStreamer):
    """Hands pieces of text to the thread that iterates over it, while ``generate`` runs in another.

    `timeout` is how many seconds a reader waits for the next piece before `queue.Empty` is raised.
    """

    def __init__(
        self,
        tokenizer: Decoder,
        skip_prompt: bool = False,
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | None] = Queue()
        self.stop_signal = None
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put a piece of text into the queue."""
        for piece in (text, self.stop_signal)[: 1 + stream_end]:
            self.text_queue.put(piece, timeout=self.timeout)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = self.text_queue.get(timeout=self.timeout)
        if piece is None:
            raise StopIteration
        return piece


class AsyncTextIteratorStreamer(TextStreamer):
    """Hands pieces of text to a coroutine. Make it inside the event loop; ``generate`` runs in a
    thread.

    `timeout` is how many seconds a reader waits for the next piece before `TimeoutError` is raised.
    """

    def __init__(
        self,
        tokenizer: Decoder,
        skip_prompt: bool = False,
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.stop_signal = None
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Put a piece of text into the queue of the event loop."""
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, text)
        if stream_end:
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, self.stop_signal)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        async with asyncio.timeout(self.timeout):
            piece = await self.text_queue.get()
        if piece is None:
            raise StopAsyncIteration
        return piece
