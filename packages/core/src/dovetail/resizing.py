"""Changing the number of rows of embeddings and output layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from dovetail.layers.embeddings import ScaledEmbedding

Initialise = Callable[[nn.Module], None]
SPREAD = 1e-9  # new rows stay this close (variance) to the mean, so that they do not stand out


def resize_embedding(
    old: nn.Embedding, size: int, initialise: Initialise, mean_resizing: bool
) -> nn.Embedding:
    """A copy of `old` with `size` rows; rows that are new follow the mean of the old ones, or
    `initialise`."""
    padding = old.padding_idx if old.padding_idx is not None and old.padding_idx < size else None
    kind = partial(ScaledEmbedding, scale=old.scale) if isinstance(old, ScaledEmbedding) else None
    new = (kind or nn.Embedding)(
        size, old.embedding_dim, padding, device=old.weight.device, dtype=old.weight.dtype
    )
    new.train(old.training)
    initialise(new)
    _fill(new.weight.data, old.weight.data, mean_resizing)
    new.weight.requires_grad_(old.weight.requires_grad)
    return new


def resize_output(
    layer: nn.Linear,
    size: int,
    initialise: Initialise,
    mean_resizing: bool,
    skip_weight: bool = False,
) -> None:
    """Give `layer` `size` outputs in place.

    With `skip_weight` only its bias changes, the weight being tied to another.
    """
    bias = layer.bias is not None
    new = nn.Linear(
        layer.in_features, size, bias=bias, device=layer.weight.device, dtype=layer.weight.dtype
    )
    initialise(new)
    if not skip_weight:
        _fill(new.weight.data, layer.weight.data, mean_resizing)
        layer.weight = nn.Parameter(new.weight.data, requires_grad=layer.weight.requires_grad)
    if bias:
        _fill(new.bias.data[:, None], layer.bias.data[:, None], mean_resizing)
        layer.bias = nn.Parameter(new.bias.data, requires_grad=layer.bias.requires_grad)
    layer.out_features = size


def _fill(new: Tensor, old: Tensor, mean_resizing: bool) -> None:
    """Copy the common rows of `old` (N, D) into `new` and draw the rest around the mean of `old`
    with its own covariance."""
    common = min(len(new), len(old))
    new[:common] = old[:common]
    if not mean_resizing or len(new) <= len(old):
        return
    wide = old.float()
    mean = wide.mean(0)
    centred = wide - mean
    covariance = SPREAD * centred.T @ centred / len(old)
    try:
        distribution = torch.distributions.MultivariateNormal(mean, covariance_matrix=covariance)
        new[common:] = distribution.sample((len(new) - common,)).to(new.dtype)
    except ValueError:  # fewer rows than columns: the covariance has no inverse
        new[common:] = mean.to(new.dtype)
