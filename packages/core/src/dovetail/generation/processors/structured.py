"""Keeps texts to a form: JSON of a schema, a regular expression, a grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.processors.base import LogitsProcessor

if TYPE_CHECKING:
    from llguidance import LLMatcher

Text = tuple[int, ...]


class StructuredLogitsProcessor(LogitsProcessor):
    """Allows only tokens with which the text from the token `begin` on can still become one that
    `matcher` accepts, and an end token only when it is one.

    Each row has a state of its own, found by its text: so rows may be reordered, repeated, or go
    back. A row that has ended is left alone. `alone` says that a row has no others to give way to,
    as beams have: then a step at which no token is possible raises `GenerationError`.
    """

    def __init__(
        self, matcher: LLMatcher, begin: int, eos_token_id: list[int], alone: bool = True
    ) -> None:
        self.matcher = matcher
        self.begin = begin
        self.ends = frozenset(eos_token_id)
        self.alone = alone
        self._states: dict[Text, LLMatcher | None] = {(): matcher}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        if input_ids.shape[1] < self.begin:
            return scores
        texts = [tuple(row) for row in input_ids[:, self.begin :].tolist()]
        allowed = torch.from_numpy(self._allowed(texts, scores.shape[-1])).to(scores.device)
        changed = scores.masked_fill(~allowed, -torch.inf)
        if self.alone and bool((impossible := changed.isneginf().all(dim=-1)).any()):
            self._explain(int(impossible.nonzero()[0]), texts)
        return changed

    def _allowed(self, texts: list[Text], size: int) -> np.ndarray:
        """Booleans (B, `size`): which tokens each row may go on with."""
        # A group of beams, or a longer guess, may come back to the texts of a step before.
        length = len(texts[0])
        self._states = {
            text: state for text, state in self._states.items() if len(text) >= length - 1
        }
        rows = {text: self._row(text, size) for text in set(texts)}
        return np.stack([rows[text] for text in texts])

    def _row(self, text: Text, size: int) -> np.ndarray:
        state = self._state(text) if self.ends.isdisjoint(text) else None
        if state is None:
            return np.ones(size, dtype=bool)
        row = np.zeros(size, dtype=bool)
        packed = np.frombuffer(state.compute_bitmask(), np.uint8)
        if not state.is_error():  # else the mask is not that of the text
            bits = np.unpackbits(packed, bitorder="little")[:size]
            row[: len(bits)] = bits
        return row

    def _state(self, text: Text) -> LLMatcher | None:
        """The automaton after `text`; None where the text left the form: a beam whose score is
        minus infinity, or one that is padded because its prompt is done.
        """
        if text not in self._states:
            known = text[:-1] in self._states
            start = self._states[text[:-1]] if known else self.matcher
            unread = list(text[-1:] if known else text)
            state = None if start is None else start.deep_copy()
            if state is not None and state.try_consume_tokens(unread) < len(unread):
                state = None
            self._states[text] = state
        return self._states[text]

    def _explain(self, row: int, texts: list[Text]) -> None:
        raise GenerationError(
            f"row {row} cannot go on after {len(texts[row])} tokens of the structured text: the "
            "tokens that its form allows are forbidden by other settings (min_new_tokens, "
            "suppress_tokens, bad_words_ids, prefix_allowed_tokens_fn, ...) or missing from the "
            "vocabulary. Leave those settings out"
        )
