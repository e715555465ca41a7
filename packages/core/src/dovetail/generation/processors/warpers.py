"""Warpers: processors that reshape the distribution from which a token is drawn.

All set the scores of removed tokens (B, V) to `filter_value`, and always keep `min_tokens_to_keep`
tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.generation.checks import FRACTION, POSITIVE, POSITIVE_REAL, Check, is_number
from dovetail.generation.processors.base import LogitsWarper

MINUS_INFINITY = -float("inf")
OPEN_FRACTION = Check("a number between 0 and 1", lambda value: is_number(value) and 0 < value < 1)


class TemperatureLogitsWarper(LogitsWarper):
    """Divides scores by `temperature`: below 1 sharper, above 1 flatter."""

    def __init__(self, temperature: float) -> None:
        POSITIVE_REAL("temperature", temperature)
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        return scores / self.temperature


class TopKLogitsWarper(LogitsWarper):
    """Keeps the `top_k` best tokens, and those which equal the last of them."""

    def __init__(
        self, top_k: int, filter_value: float = MINUS_INFINITY, min_tokens_to_keep: int = 1
    ) -> None:
        POSITIVE("top_k", top_k)
        self.top_k = max(top_k, min_tokens_to_keep)
        self.filter_value = filter_value

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        count = min(self.top_k, scores.shape[-1])
        return scores.masked_fill(scores < scores.topk(count)[0][..., -1:], self.filter_value)


class TopPLogitsWarper(LogitsWarper):
    """Keeps the smallest set of best tokens whose probabilities add up to `top_p` (nucleus
    sampling, arXiv:1904.09751).
    """

    def __init__(
        self, top_p: float, filter_value: float = MINUS_INFINITY, min_tokens_to_keep: int = 1
    ) -> None:
        FRACTION("top_p", top_p)
        POSITIVE("min_tokens_to_keep", min_tokens_to_keep)
        self.top_p = float(top_p)
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        ascending, indices = _rising(scores)
        remove = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.top_p
        remove[..., -self.min_tokens_to_keep :] = False
        return _drop(scores, indices, remove, self.filter_value)


class MinPLogitsWarper(LogitsWarper):
    """Keeps the tokens with at least `min_p` times the best token's probability "
    "(arXiv:2407.01082)."""

    def __init__(
        self, min_p: float, filter_value: float = MINUS_INFINITY, min_tokens_to_keep: int = 1
    ) -> None:
        FRACTION("min_p", min_p)
        POSITIVE("min_tokens_to_keep", min_tokens_to_keep)
        self.min_p = min_p
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        probabilities = scores.softmax(dim=-1)
        remove = probabilities < self.min_p * probabilities.amax(dim=-1, keepdim=True)
        return _keep_best(scores, remove, self.min_tokens_to_keep, self.filter_value)


class TypicalLogitsWarper(LogitsWarper):
    """Keeps the tokens whose surprise is nearest to the expected one, up to probability `mass`
    (arXiv:2202.00666).
    """

    def __init__(
        self, mass: float = 0.9, filter_value: float = MINUS_INFINITY, min_tokens_to_keep: int = 1
    ) -> None:
        OPEN_FRACTION("typical_p", mass)
        POSITIVE("min_tokens_to_keep", min_tokens_to_keep)
        self.mass = mass
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        log_probabilities = scores.log_softmax(dim=-1)
        entropy = -(log_probabilities * log_probabilities.exp()).nansum(-1, keepdim=True)
        oddness, indices = (-log_probabilities - entropy).abs().sort(dim=-1)
        mass = scores.gather(-1, indices).softmax(dim=-1).cumsum(dim=-1)
        last = (mass < self.mass).sum(dim=-1, keepdim=True).clamp_(max=scores.shape[-1] - 1)
        remove = oddness > oddness.gather(-1, last)
        remove[..., : self.min_tokens_to_keep] = False
        return _drop(scores, indices, remove, self.filter_value)


class EpsilonLogitsWarper(LogitsWarper):
    """Keeps the tokens with at least probability `epsilon` (arXiv:2210.15191)."""

    def __init__(
        self, epsilon: float, filter_value: float = MINUS_INFINITY, min_tokens_to_keep: int = 1
    ) -> None:
        OPEN_FRACTION("epsilon_cutoff", epsilon)
        POSITIVE("min_tokens_to_keep", min_tokens_to_keep)
        self.epsilon = epsilon
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        remove = scores.softmax(dim=-1) < self.epsilon
        return _keep_best(scores, remove, self.min_tokens_to_keep, self.filter_value)


class EtaLogitsWarper(LogitsWarper):
    """Keeps the tokens above a threshold that falls with the entropy: ``min(eps, sqrt(eps) *
    exp(-entropy))`` (arXiv:2210.15191).
    """

    def __init__(
        self,
        epsilon: float,
        filter_value: float = MINUS_INFINITY,
        min_tokens_to_keep: int = 1,
        device: str = "cpu",
    ) -> None:
        OPEN_FRACTION("eta_cutoff", epsilon)
        POSITIVE("min_tokens_to_keep", min_tokens_to_keep)
        self.epsilon = torch.tensor(epsilon, device=device)
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the tokens that are kept."""
        probabilities = scores.softmax(dim=-1)
        entropy = torch.distributions.Categorical(logits=scores, validate_args=False).entropy()
        epsilon = self.epsilon.to(scores.device)
        threshold = torch.minimum(epsilon, epsilon.sqrt() * (-entropy).exp())[..., None]
        return _keep_best(
            scores, probabilities < threshold, self.min_tokens_to_keep, self.filter_value
        )


def _rising(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores from worst to best with their indices, (B, N) each: all of them, or just finite ones.

    Tokens removed by earlier warpers have no probability; where most are gone, picking the rest is
    faster than sorting everything. Equal scores are left to the sort, whose order is the field's.
    """
    finite = int((scores > MINUS_INFINITY).sum(dim=-1).max())
    if 0 < finite < scores.shape[-1] // 4:
        best, indices = scores.topk(finite, dim=-1)
        equal = (best[..., 1:] == best[..., :-1]) & (best[..., 1:] > MINUS_INFINITY)
        if not bool(equal.any()):
            return best.flip(-1), indices.flip(-1)
    return scores.sort(dim=-1)


def _drop(scores: Tensor, indices: Tensor, remove: Tensor, filter_value: float) -> Tensor:
    """Filter the tokens `indices` (B, N) where `remove` (B, N) says so."""
    removed = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, indices, remove)
    return scores.masked_fill(removed, filter_value)


def _keep_best(scores: Tensor, remove: Tensor, count: int, filter_value: float) -> Tensor:
    """Filter where `remove` (B, V) says so, except the `count` best tokens."""
    best = scores.topk(min(count, scores.shape[-1]), dim=-1)[0][..., -1:]
    return scores.masked_fill(remove & (scores < best), filter_value)
