"""Bookkeeping of beam search: which beams go on, which hypotheses are finished, and which are the
best.

Rows are (B * beams,): the beams of one prompt lie side by side. Decisions are made on the host in
double precision, one transfer per step, because a handful of candidates is too little work for a
device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import UserDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.checks import token_tuple
from dovetail.logging import get_logger

logger = get_logger(__name__)

IMPOSSIBLE = float("-inf")
Rows = tuple[int, ...]
EndTokens = int | Sequence[int] | Tensor | None


class BeamScorer(ABC):
    """Decides at each step how beams go on, and in the end which texts are returned."""

    @abstractmethod
    def process(
        self,
        input_ids: Tensor,
        next_scores: Tensor,
        next_tokens: Tensor,
        next_indices: Tensor,
        **kwargs: Any,
    ) -> UserDict[str, Tensor]:
        """Choose next beams among candidates (B, N) sorted from best to worst."""

    @abstractmethod
    def finalize(
        self,
        input_ids: Tensor,
        final_beam_scores: Tensor,
        final_beam_tokens: Tensor,
        final_beam_indices: Tensor,
        max_length: int,
        **kwargs: Any,
    ) -> UserDict[str, Tensor]:
        """Choose the texts to return."""


@dataclass
class Hypothesis:
    """A finished text: its tokens (T,) without the end token, its score and the beams it went
    through.
    """

    score: float
    tokens: Tensor
    beam_indices: Rows | None = None


class BeamHypotheses:
    """The best `num_beams` finished texts of one prompt.

    Scores are sums of log-probabilities divided by ``length ** length_penalty``, where the length
    counts generated tokens.
    """

    def __init__(
        self,
        num_beams: int,
        length_penalty: float,
        early_stopping: bool | str | None,
        max_length: int | None = None,
    ) -> None:
        if early_stopping == "never" and length_penalty > 0 and max_length is None:
            raise GenerationError(
                "early_stopping='never' with length_penalty above 0 needs max_length: give a limit"
            )
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.early_stopping = early_stopping
        self.max_length = max_length
        self.hypotheses: list[Hypothesis] = []

    def __len__(self) -> int:
        return len(self.hypotheses)

    @property
    def worst_score(self) -> float:
        """The score that a new text must beat once the list is full."""
        return min((hypothesis.score for hypothesis in self.hypotheses), default=1e9)

    def add(
        self,
        tokens: Tensor,
        sum_logprobs: float,
        generated_len: int,
        beam_indices: Rows | None = None,
    ) -> None:
        """Add a finished text of `generated_len` new tokens, if it is among the best."""
        score = sum_logprobs / generated_len**self.length_penalty
        if len(self) == self.num_beams:
            if score <= self.worst_score:
                return
            worst = min(range(len(self)), key=lambda index: self.hypotheses[index].score)
            del self.hypotheses[worst]
        self.hypotheses.append(Hypothesis(score, tokens, beam_indices))

    def is_done(self, best_sum_logprobs: float, cur_len: int, decoder_prompt_len: int = 0) -> bool:
        """Whether no beam can still become one of the best, by the rule of `early_stopping`."""
        if len(self) < self.num_beams:
            return False
        if self.early_stopping is True:
            return True
        length = cur_len
        if self.early_stopping == "never" and self.length_penalty > 0:
            length = self.max_length  # type: ignore[assignment]  # the constructor saw to it
        return (
            self.worst_score
            >= best_sum_logprobs / (length - decoder_prompt_len) ** self.length_penalty
        )

    def best(self, count: int) -> list[Hypothesis]:
        """The best `count` texts, best first."""
        # Of equal scores the later one comes first.
        ascending = sorted(self.hypotheses, key=lambda hypothesis: hypothesis.score)
        return ascending[::-1][:count]


class BeamSearchScorer(BeamScorer):
    """Standard beam search, also in groups.

    `do_early_stopping`: True stops a prompt at `num_beams` finished texts; False when the best
    beam's present score cannot beat the worst of them any more; ``"never"`` when no continuation
    could, which needs `max_length`.
    """

    def __init__(
        self,
        batch_size: int,
        num_beams: int,
        device: torch.device | str,
        length_penalty: float | None = 1.0,
        do_early_stopping: bool | str | None = False,
        num_beam_hyps_to_keep: int | None = 1,
        num_beam_groups: int | None = 1,
        max_length: int | None = None,
    ) -> None:
        groups = num_beam_groups or 1
        if not isinstance(num_beams, int) or num_beams < 2:
            raise GenerationError(
                f"num_beams={num_beams!r}: beam search needs an integer of at least 2"
            )
        if groups > num_beams or num_beams % groups:
            raise GenerationError(f"num_beam_groups={groups} does not divide num_beams={num_beams}")
        self.device = device
        self.num_beams = num_beams
        self.group_size = num_beams // groups
        self.num_beam_groups = groups
        self.num_beam_hyps_to_keep = num_beam_hyps_to_keep or 1
        self._hypotheses = [
            BeamHypotheses(self.group_size, length_penalty or 0.0, do_early_stopping, max_length)
            for _ in range(batch_size * groups)
        ]
        self._done = [False] * (batch_size * groups)

    @property
    def is_done(self) -> bool:
        """Whether every prompt is finished."""
        return all(self._done)

    def row(self, row: int, group_index: int) -> int:
        """Where row `row` of one group stands among the rows of all groups."""
        prompt, beam = divmod(row, self.group_size)
        return prompt * self.num_beams + group_index * self.group_size + beam

    def process(  # type: ignore[override]
        self,
        input_ids: Tensor,
        next_scores: Tensor,
        next_tokens: Tensor,
        next_indices: Tensor,
        pad_token_id: int | Tensor | None = None,
        eos_token_id: EndTokens = None,
        beam_indices: Sequence[Rows] | None = None,
        group_index: int = 0,
        decoder_prompt_len: int = 0,
    ) -> UserDict[str, Tensor]:
        """Choose the next beams of one group.

        `input_ids` (B * group, T); candidates `next_scores`, `next_tokens`, `next_indices` (B, N),
        best first, at least twice as many as beams, `next_indices` being the beam within the
        prompt. Returns ``next_beam_scores``, ``next_beam_tokens`` and ``next_beam_indices`` (the
        row that each new row continues), each (B * group,).
        """
        batch = len(self._hypotheses) // self.num_beam_groups
        if input_ids.shape[0] != batch * self.group_size:
            raise GenerationError(
                f"input_ids has {input_ids.shape[0]} rows: expected {batch} prompts of "
                f"{self.group_size} beams in a group"
            )
        ends = frozenset(token_tuple(eos_token_id))
        pad = int(pad_token_id) if pad_token_id is not None else None
        candidates = zip(
            next_scores.tolist(), next_tokens.tolist(), next_indices.tolist(), strict=True
        )
        chosen: list[tuple[float, int, int]] = []
        for prompt, (scores, tokens, beams) in enumerate(candidates):
            index = prompt * self.num_beam_groups + group_index
            if self._done[index]:
                if pad is None:
                    raise GenerationError("finished beams need padding: set pad_token_id")
                chosen += [(0.0, pad, 0)] * self.group_size
                continue
            rows = [prompt * self.group_size + beam for beam in beams]
            chosen += self._choose(
                index,
                input_ids,
                list(zip(scores, tokens, rows, strict=True)),
                ends,
                beam_indices,
                decoder_prompt_len,
            )
        best_scores, best_tokens, best_rows = zip(*chosen, strict=True)
        return UserDict(
            next_beam_scores=torch.tensor(
                best_scores, dtype=next_scores.dtype, device=next_scores.device
            ),
            next_beam_tokens=torch.tensor(
                best_tokens, dtype=next_tokens.dtype, device=next_tokens.device
            ),
            next_beam_indices=torch.tensor(
                best_rows, dtype=next_indices.dtype, device=next_indices.device
            ),
        )

    def _choose(
        self,
        index: int,
        input_ids: Tensor,
        candidates: list[tuple[float, int, int]],
        ends: frozenset[int],
        beam_indices: Sequence[Rows] | None,
        prompt_length: int,
    ) -> list[tuple[float, int, int]]:
        """The beams of one prompt and group that go on; candidates that end become hypotheses when
        they rank among the beams.
        """
        hypotheses, length = self._hypotheses[index], input_ids.shape[1] + 1
        going_on: list[tuple[float, int, int]] = []
        for rank, (score, token, row) in enumerate(candidates):
            if token not in ends:
                going_on.append((score, token, row))
                if len(going_on) == self.group_size:
                    break
            elif score > IMPOSSIBLE and rank < self.group_size and self._admits(input_ids[row]):
                path = None
                if beam_indices is not None:
                    path = (*beam_indices[row], self.row(row, index % self.num_beam_groups))
                hypotheses.add(input_ids[row].clone(), score, length - prompt_length, path)
        if len(going_on) < self.group_size:
            raise GenerationError(
                f"{len(candidates)} candidates hold only {len(going_on)} tokens that do not end "
                f"the text, for {self.group_size} "
                "beams: offer more candidates, or allow more tokens"
            )
        exhausted = going_on[0][0] == IMPOSSIBLE and len(hypotheses) > 0
        self._done[index] = exhausted or hypotheses.is_done(candidates[0][0], length, prompt_length)
        if exhausted:  # what follows is padding, whose scores must be numbers
            going_on = [(0.0, token, row) for _, token, row in going_on]
        return going_on

    def _admits(self, tokens: Tensor) -> bool:
        """Whether `tokens` (T,) may be returned as they are."""
        return True

    def finalize(  # type: ignore[override]
        self,
        input_ids: Tensor,
        final_beam_scores: Tensor,
        final_beam_tokens: Tensor,
        final_beam_indices: Tensor,
        max_length: int | None,
        pad_token_id: int | Tensor | None = None,
        eos_token_id: EndTokens = None,
        beam_indices: Sequence[Rows] | None = None,
        decoder_prompt_len: int = 0,
    ) -> UserDict[str, Tensor]:
        """The best texts: ``sequences`` (B * kept, T), ``sequence_scores`` (B * kept,),
        ``beam_indices`` (B * kept, T) or None.
        """
        self._add_unfinished(input_ids, final_beam_scores, beam_indices, decoder_prompt_len)
        best = [hypothesis for prompt in self._per_prompt() for hypothesis in prompt]
        longest = max(len(hypothesis.tokens) for hypothesis in best) + 1
        width = longest if max_length is None else min(longest, max_length)
        sequences = input_ids.new_full(
            (len(best), width), int(pad_token_id) if pad_token_id is not None else 0
        )
        ends = token_tuple(eos_token_id)
        for row, hypothesis in zip(sequences, best, strict=True):
            length = len(hypothesis.tokens)
            row[:length] = hypothesis.tokens
            if length < width and ends:
                row[length] = ends[0]
        scores = torch.tensor(
            [hypothesis.score for hypothesis in best], dtype=torch.float32, device=input_ids.device
        )
        paths = None if beam_indices is None else _padded_paths(best, width, input_ids)
        found: UserDict[str, Any] = UserDict(
            sequences=sequences, sequence_scores=scores, beam_indices=paths
        )
        return found

    def _add_unfinished(
        self,
        input_ids: Tensor,
        scores: Tensor,
        beam_indices: Sequence[Rows] | None,
        prompt_length: int,
    ) -> None:
        """Where the search was cut short, the beams as they are compete with the finished texts."""
        sums = scores.tolist()
        for index, hypotheses in enumerate(self._hypotheses):
            if self._done[index]:
                continue
            for row in range(index * self.group_size, (index + 1) * self.group_size):
                if sums[row] == IMPOSSIBLE and len(hypotheses):
                    continue
                path = None if beam_indices is None else beam_indices[row]
                hypotheses.add(input_ids[row], sums[row], input_ids.shape[1] - prompt_length, path)

    def _per_prompt(self) -> list[list[Hypothesis]]:
        kept = self.num_beam_hyps_to_keep
        texts = []
        for start in range(0, len(self._hypotheses), self.num_beam_groups):
            pool = BeamHypotheses(self.num_beams, 0.0, False)
            pool.hypotheses = [
                hypothesis
                for hypotheses in self._hypotheses[start : start + self.num_beam_groups]
                for hypothesis in hypotheses.hypotheses
            ]
            best = pool.best(kept)
            if len(best) < kept:
                logger.warning_once(
                    f"num_return_sequences={kept}, and only {len(best)} texts are possible: the "
                    "last of them is repeated."
                )
            texts.append(best + best[-1:] * (kept - len(best)))
        return texts


def _padded_paths(hypotheses: list[Hypothesis], width: int, like: Tensor) -> Tensor:
    paths = like.new_full((len(hypotheses), width), -1)
    for row, hypothesis in zip(paths, hypotheses, strict=True):
        path = hypothesis.beam_indices or ()
        row[: len(path)] = like.new_tensor(path)
    return paths
