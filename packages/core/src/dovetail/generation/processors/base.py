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


def vocabulary_mask(token_ids: Iterable[int], scores: Tensor) -> Tensor:
    """Booleans (V,) that are True at `token_ids`; ids beyond the vocabulary are passed over."""
    size = scores.shape[-1]
    mask = torch.zeros(size, dtype=torch.bool)
    mask[[token for token in token_ids if token < size]] = True
    return mask.to(scores.device)


class TokenMask:
    """The mask of fixed tokens, made on first use and kept as long as vocabulary and device stay
    the same.
    """

    def __init__(self, token_ids: list[int]) -> None:
        self.token_ids = token_ids
        self._mask: Tensor | None = None

    def __call__(self, scores: Tensor) -> Tensor:
        """Booleans (V,) for `scores` (B, V)."""
        mask = self._mask
        if mask is None or mask.shape[0] != scores.shape[-1] or mask.device != scores.device:
            mask = self._mask = vocabulary_mask(self.token_ids, scores)
        return mask
