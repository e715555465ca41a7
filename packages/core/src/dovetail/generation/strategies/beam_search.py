"""Beam search and beam sampling: several continuations of each prompt are followed, and the most
probable texts returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.beams import BeamSearchScorer
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.strategies import Strategy
from dovetail.generation.tokens import draw
from dovetail.outputs import ModelOutput

UNREACHABLE = -1e9  # score of all beams but the first, which would otherwise all begin alike


class BeamSearch(Strategy):
    """Beam search, or beam sampling with ``do_sample=True``: candidates are the best, or drawn,
    among all beams' next tokens.
    """

    streams = False

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of every strategy; beams also need a limit."""
        super().check(config, arguments, streamer)
        lengths = (config.max_length, config.max_new_tokens)
        if all(limit is None for limit in (*lengths, config.max_time, config.eos_token_id)):
            raise GenerationError(
                "beam search has no end: set max_length, max_new_tokens, max_time or eos_token_id"
            )

    def rows_per_prompt(self, config: GenerationConfig) -> int:
        """One row for each beam."""
        return config.num_beams

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Follow the beams until the scorer has enough finished texts or a criterion stops all
        rows.
        """
        config = decoding.config
        beams, batch = config.num_beams, decoding.rows // config.num_beams
        scorer: Any = self._scorer(decoding, batch)
        beam_scores = torch.full(
            (batch, beams), UNREACHABLE, dtype=torch.float, device=decoding.ids.device
        )
        beam_scores[:, 0] = 0
        beam_scores = beam_scores.view(-1)
        paths: list[tuple[int, ...]] | None
        paths = [()] * decoding.rows if decoding.records.scores is not None else None
        chosen: Any = None
        finished = False
        while decoding.others_running(finished):
            log_probabilities = decoding.processed(decoding.next_logits().log_softmax(dim=-1))
            if finished:
                continue  # only to keep step with other processes
            totals = (log_probabilities + beam_scores[:, None]).view(batch, -1)  # (B, beams * V)
            scores, tokens, indices = self._candidates(
                totals, log_probabilities.shape[-1], decoding
            )
            chosen = scorer.process(
                decoding.ids,
                scores,
                tokens,
                indices,
                *self._further(totals),
                config.pad_token_id,
                decoding.ends,
                paths,
                decoder_prompt_len=decoding.prompt_length,
            )
            beam_scores, rows = chosen["next_beam_scores"], chosen["next_beam_indices"]
            order = rows.tolist()
            if order != list(range(len(order))):
                decoding.reorder(rows)
            decoding.append(chosen["next_beam_tokens"])
            if paths is not None:
                paths = [(*paths[row], row) for row in order]
            finished = scorer.is_done or bool(decoding.stopped().all())
        return self._result(decoding, scorer, beam_scores, chosen, paths)

    @staticmethod
    def _further(totals: Tensor) -> tuple[Tensor, ...]:
        """What the scorer needs besides the candidates, of `totals` (B, beams * V)."""
        return ()

    @staticmethod
    def _scorer(decoding: Decoding, batch: int, groups: int = 1) -> BeamSearchScorer:
        config = decoding.config
        return BeamSearchScorer(
            batch_size=batch,
            num_beams=config.num_beams,
            device=decoding.ids.device,
            length_penalty=config.length_penalty,
            do_early_stopping=config.early_stopping,
            num_beam_hyps_to_keep=config.num_return_sequences,
            num_beam_groups=groups,
            max_length=decoding.stopping.max_length,
        )

    @staticmethod
    def _candidates(
        totals: Tensor, vocabulary: int, decoding: Decoding
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, tokens and beams (B, N), best first, of `totals` (B, beams * V): enough that
        every beam can go on though all end tokens are among them.
        """
        beams = totals.shape[-1] // vocabulary
        count = min(max(2, 1 + len(decoding.ends)) * beams, totals.shape[-1])
        if decoding.config.do_sample:
            drawn = draw(totals, count)
            scores, order = totals.gather(-1, drawn).sort(descending=True, dim=1)
            drawn = drawn.gather(-1, order)
        else:
            scores, drawn = totals.topk(count, dim=1)
        return scores, drawn % vocabulary, drawn // vocabulary

    @staticmethod
    def _result(
        decoding: Decoding, scorer: BeamSearchScorer, beam_scores: Tensor, chosen: Any, paths: Any
    ) -> ModelOutput | Tensor:
        config = decoding.config
        best = scorer.finalize(
            decoding.ids,
            beam_scores,
            chosen["next_beam_tokens"],
            chosen["next_beam_indices"],
            max_length=decoding.stopping.max_length,
            pad_token_id=config.pad_token_id,
            eos_token_id=decoding.ends,
            beam_indices=paths,
            decoder_prompt_len=decoding.prompt_length,
        )
        scores = best["sequence_scores"] if config.output_scores else None
        return decoding.result(
            best["sequences"], sequences_scores=scores, beam_indices=best["beam_indices"]
        )
