"""The sum of a residual stream and what a block adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn


def within_range(hidden_states: Tensor) -> Tensor:
    """`hidden_states`, in half precision cut to finite numbers: activations of T5 and BART overflow
    it."""
    if hidden_states.dtype != torch.float16:
        return hidden_states
    limit = torch.finfo(torch.float16).max
    return hidden_states.clamp(-limit, limit)


class DropPath(nn.Module):
    """In training, leaves out what a block adds, for each row of the batch with probability `rate`
    (stochastic depth, arXiv 1603.09382); what is kept is scaled up, so that its mean stays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, added: Tensor) -> Tensor:
        if not self.rate or not self.training:
            return added
        keep = 1 - self.rate
        kept = added.new_empty(len(added), *(1,) * (added.dim() - 1)).bernoulli_(keep)
        return added * (kept / keep if keep else kept)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """The rate of each layer, stage by stage: from 0 for the first it rises evenly to `rate`."""
    last = max(sum(depths) - 1, 1)
    starts = accumulate(depths, initial=0)
    return [
        [rate * layer / last for layer in range(start, start + depth)]
        for start, depth in zip(starts, depths, strict=False)
    ]
