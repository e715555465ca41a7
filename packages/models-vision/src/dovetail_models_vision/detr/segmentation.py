"""The masks of DETR: where each query looks, refined by the backbone's larger maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear

GROUPS = 8


class AttentionMaps(nn.Module):
    """Where in the picture each query looks, for each head: weights without values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_linear = Linear(width, width)
        self.k_linear = Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Weights (B, Q, heads, H, W) of `queries` (B, Q, D) over `memory` (B, D, H, W), 0 where
        `mask` (B, H, W) is False; those of all heads of a query together are 1."""
        query = self.q_linear(queries).unflatten(-1, (self.heads, -1))
        key = self.k_linear(memory.movedim(1, -1)).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("bqnc,bhwnc->bqnhw", query * query.shape[-1] ** -0.5, key)
        low = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask[:, None, None], low)
        return scores.flatten(2).softmax(-1).view(scores.shape)


class MaskHead(nn.Module):
    """Convolutions over the picture and a query's attention, which grow map by map.

    `channels` are those of the maps that refine it, the smallest map first.
    """

    def __init__(self, inner: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        if inner % GROUPS:
            raise ValueError(
                f"The mask head normalises {GROUPS} groups of channels, into which d_model plus "
                f"encoder_attention_heads, {inner}, cannot be divided: choose another width."
            )
        if len(channels) != 3:
            raise ValueError(
                f"Masks need the backbone's three largest maps, of {len(channels)} it returns: let "
                "backbone_config.out_features name all four stages."
            )
        sizes = [inner, inner, *(width // part for part in (2, 4, 8, 16))]
        for number, (size, next_size) in enumerate(pairwise(sizes), 1):
            setattr(self, f"lay{number}", nn.Conv2d(size, next_size, 3, padding=1))
            norm = nn.GroupNorm(min(GROUPS, next_size), next_size)
            setattr(self, f"gn{number}", norm)
        self.out_lay = nn.Conv2d(sizes[-1], 1, 3, padding=1)
        for number, size in enumerate(channels, 1):
            setattr(self, f"adapter{number}", nn.Conv2d(size, sizes[number + 1], 1))

    def forward(self, states: Tensor, attention: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Masks (B * Q, 1, H, W) in the size of the last of `maps` (B, C, H, W), from `states` (B,
        D, h, w) and `attention` (B, Q, heads, h, w)."""
        queries = attention.shape[1]
        x = torch.cat((each(states, queries), attention.flatten(0, 1)), 1)
        x = self.step(2, self.step(1, x))
        for number, map_ in enumerate(maps, 1):
            finer = each(getattr(self, f"adapter{number}")(map_), queries)
            x = finer + F.interpolate(x, size=finer.shape[-2:], mode="nearest")
            x = self.step(number + 2, x)
        return self.out_lay(x)

    def step(self, number: int, x: Tensor) -> Tensor:
        """Convolution, norm, ReLU."""
        return F.relu(getattr(self, f"gn{number}")(getattr(self, f"lay{number}")(x)))


def each(states: Tensor, queries: int) -> Tensor:
    """`states` (B, ...) for each query: (B * `queries`, ...)."""
    return states.repeat_interleave(queries, 0)
