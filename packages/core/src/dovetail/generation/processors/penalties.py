"""Processors that make tokens which occurred before, or are too early or late, less or more "
"likely."""

from __future__ import annotations

from math import isnan
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.checks import POSITIVE, POSITIVE_REAL
from dovetail.generation.processors.base import LogitsProcessor, TokenSet, token_list

MINUS_INFINITY = -float("inf")


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Divides the positive scores of tokens that occurred, and multiplies the negative ones, by
    `penalty` (CTRL, arXiv:1909.05858).
    """

    def __init__(self, penalty: float) -> None:
        POSITIVE_REAL("penalty", penalty)
        self.penalty = penalty

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return _penalised(scores, input_ids, self.penalty)


class EncoderRepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Makes the tokens of the encoder's input more likely (`penalty` above 1): the inverse penalty
    applied to them.
    """

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        POSITIVE_REAL("penalty", penalty)
        self.penalty = 1 / penalty
        self.encoder_input_ids = encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return _penalised(scores, _for_each_beam(self.encoder_input_ids, scores), self.penalty)


def _penalised(scores: Tensor, token_ids: Tensor, penalty: float) -> Tensor:
    chosen = scores.gather(1, token_ids)
    return scores.scatter(1, token_ids, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """Forbids every token that would complete an n-gram which the text already holds."""

    def __init__(self, ngram_size: int) -> None:
        POSITIVE("ngram_size", ngram_size)
        self.ngram_size = ngram_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return _without_ngrams(scores, input_ids, input_ids, self.ngram_size)


class EncoderNoRepeatNGramLogitsProcessor(LogitsProcessor):
    """Forbids every token that would complete an n-gram of the encoder's input (BlenderBot)."""

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        POSITIVE("encoder_ngram_size", encoder_ngram_size)
        self.ngram_size = encoder_ngram_size
        self.source = encoder_input_ids if encoder_input_ids.dim() == 2 else encoder_input_ids[None]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        return _without_ngrams(
            scores, _for_each_beam(self.source, scores), input_ids, self.ngram_size
        )


def _for_each_beam(source: Tensor, scores: Tensor) -> Tensor:
    """The encoder's tokens (b, S) repeated so that each row of `scores` has its own."""
    beams = scores.shape[0] // source.shape[0]
    return source.repeat_interleave(beams, dim=0) if beams > 1 else source


def _without_ngrams(scores: Tensor, source: Tensor, input_ids: Tensor, size: int) -> Tensor:
    """`scores` with minus infinity for each last token of the n-grams of `source` (B, S) that begin
    like the end of `input_ids`.
    """
    length = input_ids.shape[1]
    if length + 1 < size or source.shape[1] < size:
        return scores
    ngrams = source.unfold(1, size, 1)  # (B, S - size + 1, size)
    ending = input_ids[:, length - size + 1 :].unsqueeze(1)  # (B, 1, size - 1)
    rows, places = (ngrams[..., :-1] == ending).all(-1).nonzero(as_tuple=True)
    banned = ngrams[rows, places, -1]
    return scores.index_put((rows, banned), scores.new_tensor(MINUS_INFINITY))


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """Adds a bias to the last token of each given sequence when the tokens before it have just been
    written.

    `sequence_bias` maps token tuples to biases, or is a list of ``[[tokens], bias]``.
    """

    def __init__(self, sequence_bias: dict[tuple[int, ...], float] | list[list[Any]]) -> None:
        self.sequence_bias = _bias_table(sequence_bias)
        self._single: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        if self._single is None or self._single.device != scores.device:
            self._single = self._single_token_bias(scores)
        bias = self._single.repeat(scores.shape[0], 1)
        for tokens, value in self.sequence_bias.items():
            if 1 < len(tokens) <= input_ids.shape[1]:
                before = input_ids.new_tensor(tokens[:-1])
                match = (input_ids[:, 1 - len(tokens) :] == before).all(1)  # (B,)
                bias[:, tokens[-1]] += torch.where(match, value, 0.0)
        return scores + bias

    def _single_token_bias(self, scores: Tensor) -> Tensor:
        size = scores.shape[-1]
        beyond = sorted(
            {token for tokens in self.sequence_bias for token in tokens if token >= size}
        )
        if beyond:
            raise GenerationError(
                f"sequence_bias or bad_words_ids names tokens {beyond[:5]}; the vocabulary ends "
                f"at {size - 1}"
            )
        bias = torch.zeros(size, dtype=torch.float, device=scores.device)
        for tokens, value in self.sequence_bias.items():
            if len(tokens) == 1:
                bias[tokens[0]] = value
        return bias


def _bias_table(sequence_bias: Any) -> dict[tuple[int, ...], float]:
    pairs = sequence_bias.items() if isinstance(sequence_bias, dict) else sequence_bias
    problem = (
        f"sequence_bias={sequence_bias!r}: give a dictionary {{(token, ...): bias}} or a list of "
        "[[token, ...], bias], "
        "with token ids of at least 0"
    )
    try:
        table = {tuple(int(token) for token in tokens): float(bias) for tokens, bias in pairs}
    except (TypeError, ValueError) as error:
        raise GenerationError(problem) from error
    if not table or any(not tokens or min(tokens) < 0 for tokens in table):
        raise GenerationError(problem)
    if any(isnan(bias) for bias in table.values()):
        raise GenerationError(f"{problem}; nan is no bias")
    return table


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Forbids token sequences. A bad word that is just the end token is passed over."""

    def __init__(
        self, bad_words_ids: list[list[int]], eos_token_id: int | list[int] | Tensor | None = None
    ) -> None:
        valid = isinstance(bad_words_ids, list) and all(
            isinstance(word, list) for word in bad_words_ids
        )
        if not valid or not bad_words_ids:
            raise GenerationError(
                f"bad_words_ids={bad_words_ids!r}: give a list of lists of token ids, not empty"
            )
        self.bad_word_ids = bad_words_ids
        ends = (
            []
            if eos_token_id is None
            else [[token] for token in token_list("eos_token_id", eos_token_id)]
        )
        kept = [word for word in bad_words_ids if word not in ends]
        bias: list[list[Any]] = [[word, MINUS_INFINITY] for word in kept]
        nothing: dict[tuple[int, ...], float] = {(0,): 0.0}
        super().__init__(bias or nothing)


class MinLengthLogitsProcessor(LogitsProcessor):
    """Forbids the end tokens until the text has `min_length` tokens, the prompt's included."""

    def __init__(
        self, min_length: int, eos_token_id: int | list[int] | Tensor, device: str = "cpu"
    ) -> None:
        if not isinstance(min_length, int) or min_length < 0:
            raise GenerationError(f"min_length={min_length!r}: it must be an integer of at least 0")
        self.min_length = min_length
        self.eos_token_id = token_list("eos_token_id", eos_token_id)
        self._ends = TokenSet(self.eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        if input_ids.shape[-1] >= self.min_length:
            return scores
        return self._ends.fill(scores, MINUS_INFINITY)


class MinNewTokensLengthLogitsProcessor(MinLengthLogitsProcessor):
    """Forbids the end tokens until `min_new_tokens` tokens have followed a prompt of
    `prompt_length_to_skip`.
    """

    def __init__(
        self,
        prompt_length_to_skip: int,
        min_new_tokens: int,
        eos_token_id: int | list[int] | Tensor,
        device: str = "cpu",
    ) -> None:
        for name, value in (
            ("prompt_length_to_skip", prompt_length_to_skip),
            ("min_new_tokens", min_new_tokens),
        ):
            if not isinstance(value, int) or value < 0:
                raise GenerationError(f"{name}={value!r}: it must be an integer of at least 0")
        super().__init__(prompt_length_to_skip + min_new_tokens, eos_token_id, device)
        self.prompt_length_to_skip, self.min_new_tokens = prompt_length_to_skip, min_new_tokens


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Makes the end tokens ever more likely: after `start` new tokens their scores gain ``|score| *
    (factor ** extra - 1)``.
    """

    def __init__(
        self,
        exponential_decay_length_penalty: tuple[int, float],
        eos_token_id: int | list[int] | Tensor,
        input_ids_seq_length: int,
    ) -> None:
        self.regulation_start = exponential_decay_length_penalty[0] + input_ids_seq_length
        self.regulation_factor = exponential_decay_length_penalty[1]
        self.eos_token_id = token_list("eos_token_id", eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        extra = input_ids.shape[-1] - self.regulation_start
        if extra <= 0:
            return scores
        scores = scores.clone()
        ends = scores[:, self.eos_token_id]
        gain = ends.abs() * (self.regulation_factor**extra - 1)
        # A forbidden end stays forbidden: minus infinity and its gain would make NaN.
        scores[:, self.eos_token_id] = torch.where(ends.isinf(), ends, ends + gain)
        return scores


class HammingDiversityLogitsProcessor(LogitsProcessor):
    """Lowers, in one group of beams, the scores of the tokens that earlier groups chose at this
    step (arXiv:1610.02424).
    """

    def __init__(self, diversity_penalty: float, num_beams: int, num_beam_groups: int) -> None:
        POSITIVE_REAL("diversity_penalty", diversity_penalty)
        if num_beams < 2 or not 2 <= num_beam_groups <= num_beams:
            raise GenerationError(
                f"num_beams={num_beams}, num_beam_groups={num_beam_groups}: both must be at "
                "least 2, and no more groups than beams"
            )
        self.diversity_penalty = diversity_penalty
        self.num_beams = num_beams
        self.group_size = num_beams // num_beam_groups

    def __call__(  # type: ignore[override]
        self, input_ids: Tensor, scores: Tensor, current_tokens: Tensor, beam_group_idx: int
    ) -> Tensor:
        """As of every processor; `current_tokens` (B * num_beams,) are this step's choices, valid
        for groups before `beam_group_idx`.
        """
        earlier = beam_group_idx * self.group_size
        if earlier == 0:
            return scores
        chosen = current_tokens.view(-1, self.num_beams)[:, :earlier]  # (B, earlier)
        counts = torch.zeros(
            chosen.shape[0], scores.shape[-1], device=scores.device, dtype=scores.dtype
        )
        counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=scores.dtype))
        rows = scores.shape[0] // chosen.shape[0]
        return scores - self.diversity_penalty * counts.repeat_interleave(rows, dim=0)
