"""Public tools for layers: parts of a projection, and a function computed in pieces."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dovetail import Conv1D, apply_chunking_to_forward, prune_layer


@pytest.mark.parametrize("size", [0, 1, 3, 6])
def test_pieces_give_what_the_whole_gives(size: int) -> None:
    first, second = torch.randn(2, 2, 6, 3, generator=torch.Generator().manual_seed(0))
    whole = apply_chunking_to_forward(torch.mul, size, 1, first, second)
    assert whole.equal(first * second)


def test_pieces_must_be_equal() -> None:
    with pytest.raises(ValueError, match="chunk_size=4 does not divide the length 6"):
        apply_chunking_to_forward(torch.relu, 4, 1, torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"have the lengths \[5, 6\]"):
        apply_chunking_to_forward(torch.mul, 1, 1, torch.zeros(2, 6), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="give at least one tensor"):
        apply_chunking_to_forward(torch.mul, 1, 1)


@pytest.mark.parametrize("layer", [nn.Linear(4, 6), Conv1D(6, 4)], ids=["Linear", "Conv1D"])
def test_a_layer_keeps_the_channels_at_an_index(layer: nn.Module) -> None:
    index, x = torch.tensor([0, 2, 3]), torch.randn(2, 4)
    assert torch.allclose(prune_layer(layer, index)(x), layer(x)[:, index], atol=1e-6)
    inputs = int(isinstance(layer, nn.Linear))
    hidden = torch.zeros(2, 4).index_copy(1, index, x[:, index])
    assert torch.allclose(prune_layer(layer, index, inputs)(x[:, index]), layer(hidden), atol=1e-6)


def test_other_layers_have_no_channels_to_keep() -> None:
    with pytest.raises(TypeError, match="a ReLU cannot be pruned"):
        prune_layer(nn.ReLU(), torch.tensor([0]))
