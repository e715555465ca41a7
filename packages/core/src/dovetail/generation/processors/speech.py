"""Processors for models that write codes of speech, or transcripts with time stamps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.checks import WHOLE, token_tuple
from dovetail.generation.processors.base import LogitsProcessor

MINUS_INFINITY = -float("inf")


class AlternatingCodebooksLogitsProcessor(LogitsProcessor):
    """Makes tokens alternate between two codebooks, as Bark's coarse model writes them: after
    `input_start_len` tokens the first is of the first codebook, `codebook_size` tokens that follow
    the `semantic_vocab_size` ones of text, and the next of the second, all that come after.
    """

    def __init__(self, input_start_len: int, semantic_vocab_size: int, codebook_size: int) -> None:
        WHOLE("input_start_len", input_start_len)
        self.input_start_len = input_start_len
        self.semantic_vocab_size = semantic_vocab_size
        self.codebook_size = codebook_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        tokens = torch.arange(scores.shape[-1], device=scores.device)
        second = self.semantic_vocab_size + self.codebook_size
        if (input_ids.shape[-1] - self.input_start_len) % 2:
            allowed = tokens >= second
        else:
            allowed = (tokens >= self.semantic_vocab_size) & (tokens < second)
        return scores.masked_fill(~allowed, MINUS_INFINITY)


class WhisperTimeStampLogitsProcessor(LogitsProcessor):
    """Keeps the rules of Whisper's time stamps (arXiv:2212.04356): they come in pairs, but for one
    at the very beginning and end, do not decrease, and one comes when all together are more
    probable than any other token.

    `generate_config` has ``no_timestamps_token_id``, whose successors are the time stamps,
    ``eos_token_id``, and perhaps ``max_initial_timestamp_index``, the highest one that may come
    first. `begin_index` is the length of the prompt; by default that of ``forced_decoder_ids`` and
    one token more. Raises `GenerationError` for settings without time stamps.
    """

    def __init__(
        self,
        generate_config: Any,
        begin_index: int | None = None,
        _detect_timestamp_from_logprob: bool | None = None,
    ) -> None:
        marker = getattr(generate_config, "no_timestamps_token_id", None)
        if marker is None:
            raise GenerationError(
                "generate_config has no no_timestamps_token_id, so it is not clear which tokens "
                "are time stamps: take the generation config of a Whisper checkpoint"
            )
        self.no_timestamps_token_id = marker
        self.timestamp_begin = marker + 1
        ends = token_tuple(generate_config.eos_token_id) or token_tuple(
            generate_config.bos_token_id
        )
        self.eos_token_id = ends[0] if ends else self.timestamp_begin
        detect = _detect_timestamp_from_logprob
        if detect is None:
            detect = getattr(generate_config, "_detect_timestamp_from_logprob", True)
        self._detect_timestamp_from_logprob = detect
        forced = getattr(generate_config, "forced_decoder_ids", None) or ()
        self.begin_index = begin_index or len(forced) + 1
        self.max_initial_timestamp_index = getattr(
            generate_config, "max_initial_timestamp_index", None
        )

    def set_begin_index(self, begin_index: int) -> None:
        """Change the length of the prompt."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        forbidden = torch.zeros_like(scores, dtype=torch.bool)
        forbidden[:, self.no_timestamps_token_id] = True
        for row, tokens in enumerate(input_ids[:, self.begin_index :].tolist()):
            self._forbid(forbidden[row], tokens)
        if input_ids.shape[1] == self.begin_index:
            forbidden[:, : self.timestamp_begin] = True
            if self.max_initial_timestamp_index is not None:
                forbidden[:, self.timestamp_begin + self.max_initial_timestamp_index + 1 :] = True
        scores = scores.masked_fill(forbidden, MINUS_INFINITY)
        if not self._detect_timestamp_from_logprob:
            return scores
        text, stamps = scores.split(
            (self.timestamp_begin, scores.shape[1] - self.timestamp_begin), dim=-1
        )
        stamped = stamps.float().logsumexp(dim=-1) > text.float().amax(dim=-1)  # (B,)
        text = text.masked_fill(stamped[:, None], MINUS_INFINITY)
        return torch.cat((text, stamps), dim=-1)

    def _forbid(self, forbidden: Tensor, tokens: list[int]) -> None:
        """Mark in `forbidden` (V,) what may not follow `tokens`."""
        first = self.timestamp_begin
        stamps = [token for token in tokens if token >= first]
        last = bool(tokens) and tokens[-1] >= first
        paired = len(tokens) < 2 or tokens[-2] >= first
        if last:
            forbidden[slice(first, None) if paired else slice(0, self.eos_token_id)] = True
        if stamps:
            begins = last and not paired  # a closing stamp may be repeated by the next opening one
            forbidden[first : stamps[-1] + (0 if begins else 1)] = True
