"""Constrained beam search: beams that come to contain given words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.constrained_beams import ConstrainedBeamSearchScorer
from dovetail.generation.decoding import Decoding
from dovetail.generation.phrases import Constraint, DisjunctiveConstraint, PhrasalConstraint
from dovetail.generation.strategies.beam_search import BeamSearch


class ConstrainedBeamSearch(BeamSearch):
    """Beam search for texts that meet all ``constraints`` and contain all ``force_words_ids``:
    lists of token ids, or lists of alternatives.
    """

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of beam search; the constraints must be sound and fit into the text."""
        super().check(config, arguments, streamer)
        if config.num_beams < 2:
            raise GenerationError(
                f"num_beams={config.num_beams}: constraints and force_words_ids need several "
                "beams to choose from, so set num_beams to at least 2"
            )
        constraints = wanted_constraints(config)
        shortest = sum(getattr(entry, "shortest", entry.seqlen) for entry in constraints)
        if config.max_new_tokens is not None and shortest > config.max_new_tokens:
            raise GenerationError(
                f"max_new_tokens={config.max_new_tokens}: the constraints need at least {shortest} "
                "tokens, so raise it or ask for less"
            )

    @staticmethod
    def _further(totals: Tensor) -> tuple[Tensor, ...]:
        return (totals,)

    @staticmethod
    def _scorer(decoding: Decoding, batch: int, groups: int = 1) -> ConstrainedBeamSearchScorer:
        config = decoding.config
        return ConstrainedBeamSearchScorer(
            batch_size=batch,
            num_beams=config.num_beams,
            constraints=wanted_constraints(config),
            device=decoding.ids.device,
            length_penalty=config.length_penalty,
            do_early_stopping=config.early_stopping,
            num_beam_hyps_to_keep=config.num_return_sequences,
            max_length=decoding.stopping.max_length,
        )


def wanted_constraints(config: GenerationConfig) -> list[Constraint]:
    """The constraints of the settings, forced words included.

    Raises `GenerationError` for what is none.
    """
    constraints = list(config.constraints or ())
    for entry in constraints:
        if not isinstance(entry, Constraint):
            raise GenerationError(
                f"constraints holds a {type(entry).__name__}: give PhrasalConstraint, "
                "DisjunctiveConstraint or another Constraint"
            )
    words = config.force_words_ids or []
    if not isinstance(words, list | tuple) or not all(
        isinstance(word, list | tuple) for word in words
    ):
        raise GenerationError(
            f"force_words_ids={words!r}: it must be a list of lists of token ids, or of lists of "
            "alternatives"
        )
    for word in words:
        nested = bool(word) and isinstance(word[0], list | tuple)
        constraints.append(DisjunctiveConstraint(word) if nested else PhrasalConstraint(word))
    if not constraints:
        raise GenerationError(
            "constraints and force_words_ids are empty: list a phrase, or leave them out"
        )
    return constraints
