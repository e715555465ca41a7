"""Diverse beam search (arXiv:1610.02424): beams in groups, each kept from repeating what the groups
before it chose.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.generation.beams import BeamSearchScorer
from dovetail.generation.decoding import Decoding
from dovetail.generation.strategies.beam_search import UNREACHABLE, BeamSearch
from dovetail.outputs import ModelOutput


class GroupBeamSearch(BeamSearch):
    """Beam search in ``num_beam_groups`` groups. At each step the groups choose one after the
    other, and ``diversity_penalty`` is taken from the tokens that earlier groups chose.
    """

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Follow all groups until the scorer has enough finished texts or a criterion stops all
        rows.
        """
        config, device = decoding.config, decoding.ids.device
        batch = decoding.rows // config.num_beams
        scorer = self._scorer(decoding, batch, config.num_beam_groups)
        beam_scores = torch.full((decoding.rows,), UNREACHABLE, device=device)
        beam_scores[:: scorer.group_size] = 0
        paths: list[tuple[int, ...]] | None
        paths = [()] * decoding.rows if decoding.records.scores is not None else None
        chosen: Any = None
        finished = False
        while decoding.others_running(finished):
            logits = decoding.next_logits().log_softmax(dim=-1)
            if finished:
                continue  # only to keep step with other processes
            chosen = self._choose(decoding, scorer, logits, beam_scores, paths)
            beam_scores, rows = chosen["next_beam_scores"], chosen["next_beam_indices"]
            decoding.reorder(rows)
            decoding.append(chosen["next_beam_tokens"])
            if paths is not None:
                paths = [(*paths[row], row) for row in rows.tolist()]
            finished = scorer.is_done or bool(decoding.stopped().all())
        return self._result(decoding, scorer, beam_scores, chosen, paths)

    def _choose(
        self,
        decoding: Decoding,
        scorer: BeamSearchScorer,
        logits: Tensor,
        beam_scores: Tensor,
        paths: list[tuple[int, ...]] | None,
    ) -> dict[str, Tensor]:
        """How all rows (B * beams,) go on, group by group, given log-probabilities (rows, V)."""
        processed = torch.empty_like(logits)
        numbers = decoding.ids.new_zeros(decoding.rows)
        chosen = {
            "next_beam_scores": beam_scores.clone(),
            "next_beam_tokens": numbers,
            "next_beam_indices": numbers.clone(),
        }
        grid = torch.arange(decoding.rows, device=logits.device)
        grid = grid.view(-1, scorer.num_beam_groups, scorer.group_size)  # (B, groups, beams)
        for group in range(scorer.num_beam_groups):
            members = grid[:, group].flatten()
            ids = decoding.ids[members]
            processed[members] = decoding.processors(
                ids,
                logits[members],
                current_tokens=chosen["next_beam_tokens"],
                beam_group_idx=group,
            )
            totals = processed[members] + beam_scores[members, None]
            best = scorer.process(
                ids,
                *self._candidates(totals.view(len(grid), -1), logits.shape[-1], decoding),
                decoding.config.pad_token_id,
                decoding.ends,
                None if paths is None else [paths[row] for row in members.tolist()],
                group_index=group,
                decoder_prompt_len=decoding.prompt_length,
            )
            best["next_beam_indices"] = members[best["next_beam_indices"]]
            for name, values in best.items():
                chosen[name][members] = values
        if decoding.records.scores is not None:
            decoding.records.scores.append(processed)
        return chosen
