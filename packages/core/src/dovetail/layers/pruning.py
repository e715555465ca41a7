"""Removing attention heads from projections."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Conv1D


def kept_channels(pruned: Iterable[int], heads: int, width: int, device: torch.device) -> Tensor:
    """Indices of the channels that stay when `pruned` of `heads` heads of `width` channels go."""
    keep = torch.ones(heads, width, dtype=torch.bool, device=device)
    keep[list(pruned)] = False
    return keep.flatten().nonzero()[:, 0]


def prune_linear(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """`layer` with only the outputs (`dim` 0) or inputs (1) at `index`."""
    new = nn.Linear(
        len(index) if dim == 1 else layer.in_features,
        len(index) if dim == 0 else layer.out_features,
        bias=layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    new.weight.data.copy_(layer.weight.data.index_select(dim, index))
    if layer.bias is not None:
        new.bias.data.copy_(layer.bias.data[index] if dim == 0 else layer.bias.data)
    return new.train(layer.training)


def prune_conv1d(layer: Conv1D, index: Tensor, dim: int = 1) -> Conv1D:
    """`layer` with only the outputs (`dim` 1) or inputs (0) at `index`."""
    weight = layer.weight.data.index_select(dim, index)
    new = Conv1D(weight.shape[1], weight.shape[0]).to(weight)
    new.weight.data.copy_(weight)
    new.bias.data.copy_(layer.bias.data[index] if dim == 1 else layer.bias.data)
    return new.train(layer.training)
