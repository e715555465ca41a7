"""Bookkeeping of beams that must come to contain given phrases."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dovetail.generation.beams import BeamSearchScorer, EndTokens, Rows
from dovetail.generation.phrases import Constraint, ConstraintListState

BANK = 100  # how much a step towards a phrase outweighs in score


class ConstrainedBeamSearchScorer(BeamSearchScorer):
    """Beam search for texts that meet all `constraints`. Beside the best beams those that come
    closer to a constraint go on, in turn by how much they reached.
    """

    def __init__(
        self,
        batch_size: int,
        num_beams: int,
        constraints: list[Constraint],
        device: torch.device | str,
        length_penalty: float | None = 1.0,
        do_early_stopping: bool | str | None = False,
        num_beam_hyps_to_keep: int | None = 1,
        num_beam_groups: int | None = 1,
        max_length: int | None = None,
    ) -> None:
        super().__init__(
            batch_size,
            num_beams,
            device,
            length_penalty,
            do_early_stopping,
            num_beam_hyps_to_keep,
            num_beam_groups,
            max_length,
        )
        self.constraints = constraints
        self._scores: Tensor | None = None

    def check_completes_constraints(self, sequence: list[int]) -> bool:
        """Whether a text meets all constraints."""
        return self._state(sequence).completed

    def _state(self, sequence: list[int]) -> ConstraintListState:
        state = ConstraintListState(self.constraints)
        state.reset(sequence)
        return state

    def process(  # type: ignore[override]
        self,
        input_ids: Tensor,
        next_scores: Tensor,
        next_tokens: Tensor,
        next_indices: Tensor,
        scores_for_all_vocab: Tensor,
        pad_token_id: int | Tensor | None = None,
        eos_token_id: EndTokens = None,
        beam_indices: Sequence[Rows] | None = None,
        decoder_prompt_len: int = 0,
    ) -> UserDict[str, Tensor]:
        """As of beam search; `scores_for_all_vocab` (B * beams, V), in any shape, are those of all
        candidates.
        """
        self._scores = scores_for_all_vocab.reshape(len(input_ids), -1)
        return super().process(
            input_ids,
            next_scores,
            next_tokens,
            next_indices,
            pad_token_id,
            eos_token_id,
            beam_indices,
            decoder_prompt_len=decoder_prompt_len,
        )

    def _admits(self, tokens: Tensor) -> bool:
        return self.check_completes_constraints(tokens.tolist())

    def _choose(
        self, index: int, input_ids: Tensor, *arguments: Any
    ) -> list[tuple[float, int, int]]:
        """The best beams, mixed with those that come closer to a constraint."""
        best = super()._choose(index, input_ids, *arguments)
        texts = input_ids.tolist()
        seen = [[*texts[row], token] for _, token, row in best]
        states = [self._state(text) for text in seen]
        offers = list(best)
        for row in range(index * self.group_size, (index + 1) * self.group_size):
            state = self._state(texts[row])
            for token in (not state.completed and state.advance()) or ():
                if (text := [*texts[row], token]) in seen:
                    continue
                closer = state.copy()
                closer.add(token)
                seen.append(text)
                states.append(closer)
                offers.append((float(self._scores[row, token]), token, row))  # type: ignore[index]
        return best if len(offers) == len(best) else self._in_turn(offers, states)

    def _in_turn(
        self, offers: list[tuple[float, int, int]], states: list[ConstraintListState]
    ) -> list[tuple[float, int, int]]:
        """The best of each bank, those that reached most first, then the second best, and so on."""
        banks = [state.get_bank() for state in states]
        order = sorted(range(len(offers)), key=lambda at: -(banks[at] * BANK + offers[at][0]))
        ranks: dict[int, int] = {}
        ranked = []
        for at in order:
            ranks[banks[at]] = rank = ranks.get(banks[at], -1) + 1
            ranked.append((rank, at))
        ranked.sort(key=lambda entry: entry[0])
        return [offers[at] for _, at in ranked[: self.group_size]]

    def _add_unfinished(
        self,
        input_ids: Tensor,
        scores: Tensor,
        beam_indices: Sequence[Rows] | None,
        prompt_length: int,
    ) -> None:
        """Beams that meet the constraints compete with the finished texts; others only where there
        would be too few.
        """
        sums = scores.tolist()
        for index, hypotheses in enumerate(self._hypotheses):
            if self._done[index]:
                continue
            rows = range(index * self.group_size, (index + 1) * self.group_size)
            meeting = [row for row in rows if self._admits(input_ids[row])]
            too_few = len(meeting) < self.num_beam_hyps_to_keep
            others = [row for row in rows if row not in meeting] if too_few else []
            for row in meeting + others:
                path = None if beam_indices is None else beam_indices[row]
                hypotheses.add(input_ids[row], sums[row], input_ids.shape[1] - prompt_length, path)
