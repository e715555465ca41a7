"""The layer that keeps a window in a ring: what it returns, keeps and forgets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dovetail.caches import SlidingWindowLayer


def states(first: int, last: int) -> Tensor:
    """Keys (1, 1, T, 1) that are their own positions."""
    return torch.arange(first, last, dtype=torch.float32).view(1, 1, -1, 1)


def add(layer: SlidingWindowLayer, first: int, last: int) -> list[int]:
    """Positions that `layer` returns, in their order, when those from `first` on are added."""
    new, position = states(first, last), torch.arange(first, last)
    places, expected = layer.key_positions(position), layer.key_length(last - first)
    keys, values = layer.update(new, -new, position)
    assert torch.equal(values, -keys)
    assert keys.shape[2] == len(places) == expected
    held = places >= 0
    assert torch.equal(keys.flatten()[held].long(), places[held])
    return sorted(places[held].tolist())


def test_new_positions_follow_those_in_the_window() -> None:
    layer = SlidingWindowLayer(4)
    assert add(layer, 0, 2) == [0, 1]
    assert add(layer, 2, 5) == [0, 1, 2, 3, 4]
    assert add(layer, 5, 6) == [2, 3, 4, 5]
    assert add(layer, 6, 7) == [3, 4, 5, 6]
    assert layer.length() == 7
    assert layer.keys is not None
    assert layer.keys.shape[2] == 4
    assert layer.tensors()[0].flatten().tolist() == [3, 4, 5, 6]


def test_the_ring_is_written_in_place() -> None:
    layer = SlidingWindowLayer(3)
    add(layer, 0, 2)
    place = layer.keys.data_ptr()
    for position in range(2, 9):
        add(layer, position, position + 1)
    assert layer.keys.data_ptr() == place


def test_positions_follow_each_other_when_nobody_says_where_they_are() -> None:
    layer = SlidingWindowLayer(3)
    for first, last in ((0, 2), (2, 3), (3, 7), (7, 8)):
        layer.update(states(first, last), states(first, last))
    assert layer.tensors()[0].flatten().tolist() == [5, 6, 7]


def test_a_long_text_is_returned_whole_and_kept_in_part() -> None:
    layer = SlidingWindowLayer(3)
    assert add(layer, 0, 9) == list(range(9))
    assert add(layer, 9, 10) == [7, 8, 9]


def test_a_window_of_one_sees_itself() -> None:
    layer = SlidingWindowLayer(1)
    assert add(layer, 0, 3) == [0, 1, 2]
    assert add(layer, 3, 4) == [3]


def test_a_short_text_needs_a_small_ring() -> None:
    layer = SlidingWindowLayer(100, max_cache_len=5)
    assert add(layer, 0, 5) == list(range(5))
    assert layer.keys.shape[2] == layer.max_length() == 5
    assert SlidingWindowLayer(5, max_cache_len=100).max_length() is None


@pytest.mark.parametrize(("length", "kept"), [(2, [0, 1]), (-1, [0, 1]), (0, []), (7, [0, 1, 2])])
def test_cropping_before_anything_is_forgotten(length: int, kept: list[int]) -> None:
    layer = SlidingWindowLayer(9)
    add(layer, 0, 3)
    layer.crop(length)
    assert layer.length() == len(kept)
    new = len(kept)
    assert add(layer, new, new + 1) == [*kept, new]


def test_cropping_afterwards_goes_back_by_one_alone() -> None:
    layer = SlidingWindowLayer(3)
    add(layer, 0, 5)
    layer.crop(5)
    with pytest.raises(ValueError, match="holds the last 3 of 5 positions cannot go back by 2"):
        layer.crop(3)
    layer.crop(4)
    places = layer.key_positions(torch.tensor([4]))
    assert sorted(places.tolist()) == [2, 3, 4]
    assert add(layer, 4, 5) == [2, 3, 4]
    layer.reset()
    assert add(layer, 0, 1) == [0]
