"""Removing attention heads from projections."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Conv1D, Linear


def kept_channels(pruned: Iterable[int], heads: int, width: int, device: torch.device) -> Tensor:
    """Indices of the channels that stay when `pruned` of `heads` heads of `width` channels go."""
    keep = torch.ones(heads, width, dtype=torch.bool, device=device)
    keep[list(pruned)] = False
    return keep.flatten().nonzero()[:, 0]


def prune_linear(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """`layer` with only the outputs (`dim` 0) or inputs (1) at `index`."""
    new = Linear(
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


def prune_layer(
    layer: nn.Linear | Conv1D, index: Tensor, dim: int | None = None
) -> nn.Linear | Conv1D:
    """`layer` with only the channels at `index` of dimension `dim` of its weight, by default those
    that it gives."""
    if isinstance(layer, nn.Linear):
        return prune_linear(layer, index, 0 if dim is None else dim)
    if isinstance(layer, Conv1D):
        return prune_conv1d(layer, index, 1 if dim is None else dim)
    raise TypeError(f"a {type(layer).__name__} cannot be pruned: give a Linear or a Conv1D.")


class HeadPruning(nn.Module):
    """An attention module that remembers which of its heads were removed, so that numbers keep
    their meaning."""

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pruned_heads: set[int] = set()

    @property
    def present_heads(self) -> list[int]:
        """Numbers of the heads that are left."""
        return [head for head in range(self.num_heads) if head not in self.pruned_heads]

    def prune(
        self,
        heads: Iterable[int],
        inner: nn.Module,
        inputs: tuple[str, ...],
        outer: nn.Module,
        output: str,
        width: int,
    ) -> None:
        """Remove `heads` from the projections `inputs` of `inner` and from `output` of `outer`; a
        head has `width` channels."""
        present = self.present_heads
        gone = [present.index(head) for head in sorted(set(heads)) if head in present]
        if not gone:
            return
        index = kept_channels(gone, len(present), width, getattr(outer, output).weight.device)
        for name in inputs:
            setattr(inner, name, prune_linear(getattr(inner, name), index))
        setattr(outer, output, prune_linear(getattr(outer, output), index, dim=1))
        self.pruned_heads |= set(heads)
