"""Linear biases of attention in place of position embeddings (ALiBi, arXiv 2108.12409)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def slopes(heads: int) -> list[float]:
    """How much each head's scores fall per position: powers of 2, between them for further
    heads."""
    full = 2 ** math.floor(math.log2(heads))
    first = [2 ** (-8 * (head + 1) / full) for head in range(full)]
    further = [2 ** (-4 * (2 * head + 1) / full) for head in range(heads - full)]
    return first + further


def alibi(
    hidden_states: Tensor,
    attention_mask: Tensor | None,
    heads: int,
    keys: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Bias (1 or B, H, T, S) of the scores of `hidden_states` (B, T, D) towards `keys` keys.

    It grows with a key's position, which to the softmax is falling with its distance. Padding,
    zeros of `attention_mask` (B, S), does not count. Values are rounded to `dtype`.
    """
    device = hidden_states.device
    if attention_mask is None or attention_mask.dim() != 2:
        positions = torch.arange(keys, device=device)[None]
    else:
        mask = F.pad(attention_mask.long(), (0, keys - attention_mask.shape[1]))
        positions = (mask.cumsum(1) - 1) * mask
    falls = torch.tensor(slopes(heads), device=device, dtype=dtype)[:, None, None]
    bias = falls * positions[:, None, None, :]  # (1 or B, H, 1, S)
    return bias.to(hidden_states.dtype).expand(-1, -1, hidden_states.shape[1], -1)
