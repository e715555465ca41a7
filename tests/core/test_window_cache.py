"""The layer that keeps a window: what it returns, keeps and forgets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dovetail.caches import SlidingWindowLayer


def states(first: int, last: int) -> Tensor:
    """Keys (1, 1, T, 1) that are their own positions."""
    return torch.arange(first, last, dtype=torch.float32).view(1, 1, -1, 1)


def add(layer: SlidingWindowLayer, first: int, last: int) -> list[int]:
    """Positions that `layer` returns when those from `first` to `last` are added."""
    new = states(first, last)
    expected = layer.key_length(last - first)
    keys, values = layer.update(new, -new)
    assert torch.equal(values, -keys)
    assert keys.shape[2] == expected
    return [int(position) for position in keys.flatten()]


def test_new_positions_follow_those_in_the_window() -> None:
    layer = SlidingWindowLayer(4)
    assert add(layer, 0, 2) == [0, 1]
    assert add(layer, 2, 5) == [0, 1, 2, 3, 4]
    assert add(layer, 5, 6) == [2, 3, 4, 5]
    assert add(layer, 6, 7) == [3, 4, 5, 6]
    assert layer.length() == 7
    assert layer.keys is not None
    assert layer.keys.shape[2] == 3


def test_a_long_text_is_returned_whole_and_kept_in_part() -> None:
    layer = SlidingWindowLayer(3)
    assert add(layer, 0, 9) == list(range(9))
    assert add(layer, 9, 10) == [7, 8, 9]


def test_a_window_of_one_keeps_nothing() -> None:
    layer = SlidingWindowLayer(1)
    assert add(layer, 0, 3) == [0, 1, 2]
    assert add(layer, 3, 4) == [3]


@pytest.mark.parametrize(("length", "kept"), [(2, [0, 1]), (-1, [0, 1]), (0, []), (7, [0, 1, 2])])
def test_cropping_before_anything_is_forgotten(length: int, kept: list[int]) -> None:
    layer = SlidingWindowLayer(9)
    add(layer, 0, 3)
    layer.crop(length)
    assert layer.length() == len(kept)
    assert add(layer, 20, 21) == [*kept, 20]


def test_cropping_afterwards_is_refused() -> None:
    layer = SlidingWindowLayer(3)
    add(layer, 0, 5)
    layer.crop(5)
    with pytest.raises(ValueError, match="holds the last 2 of 5 positions cannot go back by 1"):
        layer.crop(4)
    layer.reset()
    assert add(layer, 0, 1) == [0]
