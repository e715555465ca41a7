"""Quantized keys and values: how far off, how small, and what cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from tests.core.cache_kinds import quantized
from torch import Tensor

from dovetail.caches import (
    CacheConfig,
    DynamicCache,
    HQQQuantizedCache,
    QuantizedCache,
    QuantizedCacheConfig,
    QuantoQuantizedCache,
    StaticCacheConfig,
)
from dovetail.caches.quantization import Grouping, Quantized, pack, unpack
from dovetail.errors import GenerationError


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def uneven(*shape: int) -> Tensor:
    """Values with groups of every kind: wide, narrow, far from zero, constant."""
    states = numbers(*shape)
    states[:, 1] *= 1e-3
    states[:, 2] += 50
    states[:, 3] = 7.25
    states[:, 4] = 0
    return states


@pytest.mark.parametrize("nbits", [1, 2, 4, 8])
def test_numbers_fill_bytes(nbits: int):
    codes = torch.randint(0, 2**nbits, (3, 5, 16), generator=torch.Generator().manual_seed(0))
    packed = pack(codes.to(torch.uint8), nbits)
    assert packed.shape == (3, 5, 16 * nbits // 8)
    assert torch.equal(unpack(packed, nbits), codes.to(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize("nbits", [1, 2, 4, 8])
def test_no_value_is_off_by_more_than_half_a_step(
    nbits: int, by_position: bool, dtype: torch.dtype
):
    grouping = Grouping(nbits, 8, by_position)
    states = uneven(2, 16, 32)
    stored = Quantized.of(states, grouping, dtype)
    error = grouping.split((stored.restore(torch.float32) - states).abs())
    half = stored.step.float() / 2
    assert bool((error <= half * (1 + 1e-4) + 1e-5).all())
    groups = grouping.split(states)
    spread = groups.amax(grouping.within, True) - groups.amin(grouping.within, True)
    exact = spread / (2**nbits - 1)
    slack = torch.finfo(dtype).eps * (exact + groups.abs().amax(grouping.within, True))
    assert bool((stored.step.float() <= exact + 2 * slack + 1e-6).all())


@pytest.mark.parametrize(("nbits", "factor"), [(8, 3.5), (4, 6.3), (2, 10.5), (1, 15.5)])
def test_memory_is_saved(nbits: int, factor: float):
    states = numbers(1, 4, 1024, 64)
    config = QuantizedCacheConfig(nbits=nbits, residual_length=0)
    cache, plain = QuantoQuantizedCache(config), DynamicCache()
    cache.update(states, states, 0)
    plain.update(states, states, 0)
    codes = 2 * states.numel() * nbits // 8
    scales = 2 * 2 * 4 * states.numel() // 64  # two float32 numbers for a group of 64
    assert cache.nbytes == codes + scales
    assert plain.nbytes / cache.nbytes > factor


def test_half_precision_keeps_scales_of_half_precision():
    states = numbers(1, 2, 128, 64).half()
    cache = QuantoQuantizedCache(QuantizedCacheConfig(residual_length=0))
    keys, _ = cache.update(states, states, 0)
    assert keys.dtype == cache[0][0].dtype == torch.float16
    assert cache.nbytes == 2 * states.numel() // 2 + 2 * 2 * 2 * states.numel() // 64


def test_recent_positions_are_kept_as_they_are():
    states = numbers(1, 2, 64, 4)
    cache = QuantizedCache(quantized(nbits=4, residual_length=10))
    for start in range(0, 63, 9):
        new = states[:, :, start : start + 9]
        keys, _ = cache.update(new, -new, 0)
        assert torch.equal(keys[:, :, -9:], new)  # also in the pass that quantizes them
    assert torch.equal(cache[0][0][:, :, -10:], states[:, :, 53:63])
    assert not torch.equal(cache[0][0][:, :, :10], states[:, :, :10])
    assert cache[0][0].shape[2] == cache.get_seq_length() == 63


def test_what_is_quantized_stays_as_it_is():
    states = numbers(1, 2, 64, 4)
    cache = QuantizedCache(quantized(nbits=4, residual_length=0))
    cache.update(states[:, :, :8], states[:, :, :8], 0)
    first = cache[0][0]
    for start in range(8, 64, 8):
        cache.update(states[:, :, start : start + 8], states[:, :, start : start + 8], 0)
    assert torch.equal(cache[0][0][:, :, :8], first)


@pytest.mark.parametrize("length", [50, 33, 8, 5, 0])
@pytest.mark.parametrize("axis", [0, -1])
def test_cropping_goes_back_into_what_is_quantized(length: int, axis: int):
    states = numbers(2, 2, 64, 4)
    cache = QuantizedCache(quantized(nbits=8, axis_key=axis, axis_value=axis))
    cache.update(states, -states, 0)
    before = cache[0][0]
    cache.crop(length)
    assert cache.get_seq_length() == length
    if length:
        assert torch.equal(cache[0][0], before[:, :, :length])
    keys, _ = cache.update(states[:, :, length:], -states[:, :, length:], 0)
    torch.testing.assert_close(keys, before, rtol=0, atol=0.3)


def test_backends_number_axes_in_their_own_way():
    for backend, channels, positions in (("quanto", 0, -1), ("HQQ", 1, 0)):
        config = QuantizedCacheConfig(backend=backend, axis_key=channels, axis_value=positions)
        assert not config.by_position(config.axis_key)
        assert config.by_position(config.axis_value)
    with pytest.raises(
        GenerationError, match="axis_key=1: it must be 0 or -1 for backend='quanto'"
    ):
        QuantoQuantizedCache(quantized(axis_key=1))
    with pytest.raises(GenerationError, match="axis_value=-1: it must be 1 or 0 for backend='HQQ'"):
        HQQQuantizedCache(quantized(axis_value=-1))
    assert HQQQuantizedCache(quantized(axis_key=1, axis_value=0)).cache_config.axis_key == 1
    assert HQQQuantizedCache(quantized()).cache_config.backend == "HQQ"
    assert QuantoQuantizedCache(quantized()).cache_config.backend == "quanto"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bits": ({"nbits": 3}, "nbits=3: it must be 1, 2, 4 or 8"),
    "no bits": ({"nbits": None}, "nbits=None"),
    "group": ({"q_group_size": 0}, "q_group_size=0: it must be a positive integer"),
    "window": ({"residual_length": -1}, "residual_length=-1: it must be an integer of at least 0"),
    "axis": ({"axis_key": 2}, "axis_key=2: it must be 0 or 1 or -1 for backend='quanto'"),
    "type": ({"compute_dtype": torch.int8}, "compute_dtype=torch.int8"),
    "unknown type": ({"compute_dtype": "float99"}, "compute_dtype=None"),
    "unknown": ({"nbit": 4}, "has no setting 'nbit'. Did you mean 'nbits'?"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(GenerationError, match=re.escape(message)):
        QuantizedCacheConfig.from_dict(settings)


def test_groups_must_fill_a_position():
    states = torch.zeros(1, 3, 2, 4)
    with pytest.raises(GenerationError, match="q_group_size=64 does not divide the 12 channels"):
        QuantizedCache(QuantizedCacheConfig()).update(states, states, 0)
    odd = torch.zeros(1, 1, 2, 3)
    settings = quantized(nbits=4, q_group_size=3)
    with pytest.raises(GenerationError, match="nbits=4: the 3 channels of a position"):
        QuantizedCache(settings).update(odd, odd, 0)


def test_settings_are_written_and_read(tmp_path: Any):
    config = QuantizedCacheConfig(nbits=2, compute_dtype=torch.bfloat16)
    config.to_json_file(tmp_path / "cache.json")
    assert '"compute_dtype": "bfloat16"' in (tmp_path / "cache.json").read_text()
    assert QuantizedCacheConfig.from_dict(config.to_dict()) == config
    assert config.update(nbits=4, colour="red") == {"colour": "red"}
    assert config.nbits == 4
    with pytest.raises(GenerationError, match="nbits=5"):
        config.update(nbits=5)
    assert CacheConfig("dynamic").to_dict() == {"cache_implementation": "dynamic"}
    with pytest.raises(GenerationError, match="needs more of 'max_cache_len'"):
        StaticCacheConfig.from_dict({"batch_size": 1})
    with pytest.raises(GenerationError, match="batch_size=0"):
        StaticCacheConfig(0, 4)
