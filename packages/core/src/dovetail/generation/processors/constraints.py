"""Processors that force or forbid tokens, and those which keep scores numerically sound."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.processors.base import (
    LogitsProcessor,
    TokenSet,
    token_list,
)

MINUS_INFINITY = -float("inf")


def _force(scores: Tensor, tokens: list[int]) -> Tensor:
    """Score 0 for `tokens`, minus infinity for all others."""
    forced = torch.full_like(scores, MINUS_INFINITY)
    forced[:, tokens] = 0
    return forced


class ForcedBOSTokenLogitsProcessor(LogitsProcessor):
    """Makes the first token after a one-token prompt `bos_token_id` (a language code, for
    instance).
    """

    def __init__(self, bos_token_id: int) -> None:
        self.bos_token_id = bos_token_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return _force(scores, [self.bos_token_id]) if input_ids.shape[-1] == 1 else scores


class ForcedEOSTokenLogitsProcessor(LogitsProcessor):
    """Makes the last token before `max_length` one of `eos_token_id`."""

    def __init__(
        self, max_length: int, eos_token_id: int | list[int] | Tensor, device: str = "cpu"
    ) -> None:
        self.max_length = max_length
        self.eos_token_id = token_list("eos_token_id", eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return (
            _force(scores, self.eos_token_id)
            if input_ids.shape[-1] == self.max_length - 1
            else scores
        )


class SuppressTokensLogitsProcessor(LogitsProcessor):
    """Forbids tokens at every step."""

    def __init__(self, suppress_tokens: list[int] | Tensor, device: str = "cpu") -> None:
        self.suppress_tokens = token_list("suppress_tokens", suppress_tokens)
        self._tokens = TokenSet(self.suppress_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return self._tokens.fill(scores, MINUS_INFINITY)


class SuppressTokensAtBeginLogitsProcessor(LogitsProcessor):
    """Forbids tokens at the step where the text has `begin_index` tokens."""

    def __init__(
        self, begin_suppress_tokens: list[int] | Tensor, begin_index: int, device: str = "cpu"
    ) -> None:
        self.begin_suppress_tokens = token_list("begin_suppress_tokens", begin_suppress_tokens)
        self.begin_index = begin_index
        self._tokens = TokenSet(self.begin_suppress_tokens)

    def set_begin_index(self, begin_index: int) -> None:
        """Move the step."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        if input_ids.shape[-1] != self.begin_index:
            return scores
        return self._tokens.fill(scores, MINUS_INFINITY)


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Allows only the tokens that ``prefix_allowed_tokens_fn(batch index, tokens so far)`` returns
    (arXiv:2010.00904).
    """

    def __init__(
        self, prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]], num_beams: int
    ) -> None:
        self._prefix_allowed_tokens_fn = prefix_allowed_tokens_fn
        self._num_beams = num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        mask = torch.full_like(scores, -math.inf)
        for row, tokens in enumerate(input_ids):
            index = row // self._num_beams
            allowed = self._prefix_allowed_tokens_fn(index, tokens)
            if len(allowed) == 0:
                raise GenerationError(
                    f"prefix_allowed_tokens_fn returned no token for batch index {index} after "
                    f"{len(tokens)} tokens: "
                    "return at least one, the end token if the text is complete"
                )
            mask[row, allowed] = 0
        return scores + mask


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """Replaces NaN by 0 and infinities by the largest and smallest finite numbers."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return torch.nan_to_num(scores, nan=0.0)


class LogitNormalization(LogitsProcessor):
    """Turns scores into log-probabilities, as after processors that broke the normalisation."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return scores.log_softmax(dim=-1)
