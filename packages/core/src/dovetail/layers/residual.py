"""The sum of a residual stream and what a block adds to it."""

from __future__ import annotations

import torch
from torch import Tensor


def within_range(hidden_states: Tensor) -> Tensor:
    """`hidden_states`, in half precision cut to finite numbers: activations of T5 and BART overflow
    it."""
    if hidden_states.dtype != torch.float16:
        return hidden_states
    limit = torch.finfo(torch.float16).max
    return hidden_states.clamp(-limit, limit)
