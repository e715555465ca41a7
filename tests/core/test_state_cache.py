"""The states of recurrent layers are kept, moved and reset with the cache, and never go back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from dovetail import MambaCache, PretrainedConfig
from dovetail.caches import (
    Cache,
    DynamicCache,
    DynamicLayer,
    HybridCache,
    SlidingWindowLayer,
    StateLayer,
    StaticCache,
    StaticLayer,
    recurrent_layers,
    state_layer,
)


class Config(PretrainedConfig):
    """One recurrent layer, one with a window, one that sees all."""

    num_hidden_layers: int = 3
    num_attention_heads: int = 2
    hidden_size: int = 8
    max_position_embeddings: int = 16

    @property
    def layer_windows(self) -> list[int | None]:
        return [0, 4, None]

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"conv": (3, 4), "ssm": (3, 2)}


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def filled() -> tuple[Cache, Tensor]:
    cache, state = DynamicCache(), numbers(2, 3)
    state_layer(cache, 0).put(5, state=state)
    return cache, state


def test_states_are_kept_and_positions_counted():
    cache, state = filled()
    layer = state_layer(cache, 0)
    assert layer.get("state").equal(state)
    assert layer.get("another") is None
    assert cache.get_seq_length() == 5
    layer.put(2, state=-state)
    assert layer.get("state").equal(-state)
    assert cache.get_seq_length() == 7
    assert cache.key_length(3) == 10
    assert cache.get_max_cache_shape() is None
    assert cache.to_legacy_cache()[0][0].equal(-state)


def test_rows_are_reordered_repeated_selected_and_moved():
    cache, state = filled()
    cache.reorder_cache(torch.tensor([1, 0]))
    cache.batch_repeat_interleave(2)
    assert cache[0][0].equal(state.flip(0).repeat_interleave(2, 0))
    cache.batch_select_indices(torch.tensor([3]))
    assert cache[0][0].equal(state[:1])
    cache.map(lambda tensor: tensor.to(torch.float64))
    assert cache[0][0].dtype == torch.float64
    state_layer(cache, 0).put(1, state=state[:1])
    assert cache[0][0].dtype == torch.float64


def test_a_state_forgets_everything_or_nothing():
    cache, state = filled()
    for length in (5, 9):
        cache.crop(length)
        assert cache[0][0].equal(state)
    for length in (3, -1):
        with pytest.raises(ValueError, match="cannot go back to"):
            cache.crop(length)
    assert copy.deepcopy(cache)[0][0].equal(state)
    cache.crop(0)
    assert cache.get_seq_length() == 0
    assert state_layer(cache, 0).get("state") is None


def test_layers_for_keys_give_way_while_they_are_empty():
    cache = DynamicCache()
    cache.key_length(4, layer_idx=2)
    assert isinstance(state_layer(cache, 0), StateLayer)
    keys = numbers(1, 2, 3, 4)
    cache.update(keys, keys, 1)
    with pytest.raises(ValueError, match="holds the keys of 3 positions"):
        state_layer(cache, 1)
    with pytest.raises(ValueError, match="an attention layer wants to add keys"):
        cache.update(keys, keys, 0)


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (lambda config: StaticCache(config, 2, 8), (StaticLayer, StaticLayer)),
        (lambda config: HybridCache(config, 2, 8), (SlidingWindowLayer, StaticLayer)),
        (lambda config: MambaCache(config, 2), (DynamicLayer, DynamicLayer)),
    ],
    ids=["static", "hybrid", "mamba"],
)
def test_caches_give_each_layer_what_it_needs(make: Any, others: tuple[type, ...]):
    assert recurrent_layers(Config()) == {0}
    kinds = [type(layer) for layer in make(Config()).layers]
    assert kinds == [StateLayer, *others]


@pytest.mark.parametrize("reserved", [True, False])
def test_a_mamba_cache_shifts_and_replaces(reserved: bool):
    rows = 2 if reserved else None
    cache = MambaCache(Config(), max_batch_size=rows, dtype=torch.float32)
    assert [state.shape for state in cache.conv_states] == [(2, 3, 4)] * reserved
    assert [state.shape for state in cache.ssm_states] == [(2, 3, 2)] * reserved
    columns = numbers(2, 3, 6)
    window = cache.update_conv_state(0, columns[..., :3], torch.arange(3))
    assert window[..., 1:].equal(columns[..., :3])
    assert not window[..., 0].any()
    window = cache.update_conv_state(0, columns[..., 3], torch.tensor([3]))
    assert window.equal(columns[..., :4])
    assert cache.get_seq_length() == 4
    state = numbers(2, 3, 2)
    assert cache.update_ssm_state(0, state).equal(state)
    cache.reset()
    assert not any(state.any() for state in cache.conv_states + cache.ssm_states)
    assert cache.get_seq_length() == 0


def test_a_mamba_cache_is_for_mambas():
    with pytest.raises(ValueError, match="PretrainedConfig declares no states"):
        MambaCache(PretrainedConfig(), 1)
