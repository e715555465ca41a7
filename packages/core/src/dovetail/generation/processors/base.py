"""The interface of everything that changes scores before a token is chosen."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.checks import Check


class LogitsProcessor:
    """Changes the scores of the next token. A subclass defines `__call__`; it returns new scores
    and leaves its inputs alone.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V), given the tokens so far (B, T) and their scores (B, V)."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(input_ids, scores)")


class LogitsWarper(LogitsProcessor):
    """A processor that belongs to sampling: it reshapes the distribution."""


class LogitsProcessorList(list[LogitsProcessor]):
    """Processors applied in order."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """Return scores (B, V) after every processor; `kwargs` go to those which take more than two
        arguments.
        """
        for processor in self:
            names = _further_arguments(type(processor))  # type: ignore[arg-type] # classes hash
            if not names:
                scores = processor(input_ids, scores)
                continue
            if missing := [name for name in names if name not in kwargs]:
                raise GenerationError(
                    f"{type(processor).__name__} needs {', '.join(missing)}, "
                    "which this strategy does not pass"
                )
            scores = processor(input_ids, scores, **{name: kwargs[name] for name in names})
        return scores


@lru_cache(maxsize=256)
def _further_arguments(kind: type) -> tuple[str, ...]:
    """Arguments of a processor's call after self, input_ids and scores that have no default."""
    empty = inspect.Parameter.empty
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(kind.__call__).parameters.values())[3:]
    return tuple(
        entry.name for entry in parameters if entry.kind in named and entry.default is empty
    )


def token_list(name: str, value: int | Iterable[int] | Tensor) -> list[int]:
    """One token id, several, or a tensor of them, as a list of non-negative integers."""
    ids = value.tolist() if isinstance(value, Tensor) else value
    tokens = [ids] if isinstance(ids, int) else [int(token) for token in ids]
    Check("token ids of at least 0", lambda ids: all(token >= 0 for token in ids))(name, tokens)
    return tokens


class TokenSet:
    """Fixed tokens whose scores are set; ids beyond the vocabulary are passed over.

    Their indices are made on first use and kept as long as vocabulary and device stay the same.
    """

    def __init__(self, token_ids: list[int]) -> None:
        self.token_ids = token_ids
        self._indices: Tensor | None = None
        self._made_for: tuple[int, torch.device] | None = None

    def fill(self, scores: Tensor, value: float) -> Tensor:
        """`scores` (B, V) with `value` for these tokens."""
        kind = scores.shape[-1], scores.device
        if self._indices is None or self._made_for != kind:
            within = [token for token in self.token_ids if token < kind[0]]
            self._indices, self._made_for = torch.tensor(within, device=kind[1]).long(), kind
        return scores.index_fill(-1, self._indices, value)
