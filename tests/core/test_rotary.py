"""Rotary embeddings turn pairs of channels by known angles; scalings keep their promises."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dovetail import ROPE_INIT_FUNCTIONS
from dovetail.errors import ConfigError
from dovetail.layers.rotary import (
    RotaryEmbedding,
    apply_rotary,
    base_frequencies,
    swap_neighbours,
)

WIDTH, LIMIT = 8, 16
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.0, 2.0, 2.0],
    "long_factor": [3.0, 3.0, 4.0, 4.0],
    "original_max_position_embeddings": 8,
}


def rotary(scaling: dict[str, Any] | None = None, theta: float = 100.0) -> RotaryEmbedding:
    return RotaryEmbedding(WIDTH, theta, LIMIT, scaling)


def angles(embedding: RotaryEmbedding, *positions: int) -> torch.Tensor:
    ids = torch.tensor([positions])
    cos, sin = embedding(torch.zeros(1), ids)
    sin[..., : WIDTH // 2] *= -1  # those of the first channels come negative
    return torch.atan2(sin, cos)[0]


def test_angles_are_positions_times_frequencies():
    expected = [100.0 ** (-2 * channel / WIDTH) for channel in range(WIDTH // 2)]
    torch.testing.assert_close(angles(rotary(), 1)[0], torch.tensor(expected * 2))
    assert not angles(rotary(), 0).any()


def test_products_depend_on_distance_only():
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, WIDTH), torch.randn(1, 1, 1, WIDTH)
    embedding = rotary()

    def product(first: int, second: int) -> float:
        at = [embedding(query, torch.tensor([[place]])) for place in (first, second)]
        turned = apply_rotary(query, query, *at[0])[0], apply_rotary(key, key, *at[1])[1]
        return float((turned[0] * turned[1]).sum())

    assert product(5, 2) == pytest.approx(product(13, 10), abs=1e-5)
    assert product(5, 2) != pytest.approx(product(5, 3), abs=1e-3)


def test_half_precision_keeps_far_positions_apart():
    cos, _ = rotary()(torch.zeros(1, dtype=torch.bfloat16), torch.tensor([[1000, 1001]]))
    assert cos.dtype == torch.bfloat16
    assert not cos[0, 0].equal(cos[0, 1])


def test_linear_scaling_divides_positions():
    scaled = rotary({"rope_type": "linear", "factor": 4.0})
    torch.testing.assert_close(angles(scaled, 8), angles(rotary(), 2))


def test_the_old_key_names_the_type_too():
    assert rotary({"type": "linear", "factor": 4.0}).kind == "linear"


def test_dynamic_scaling_starts_beyond_the_limit():
    scaled = rotary({"rope_type": "dynamic", "factor": 2.0})
    torch.testing.assert_close(angles(scaled, 1, LIMIT - 1), angles(rotary(), 1, LIMIT - 1))
    assert not torch.allclose(angles(scaled, 1, LIMIT * 2), angles(rotary(), 1, LIMIT * 2))
    torch.testing.assert_close(angles(scaled, 3), angles(rotary(), 3))  # and is forgotten again


def test_yarn_keeps_fast_channels_and_slows_slow_ones():
    scaled = rotary({"rope_type": "yarn", "factor": 4.0, "beta_fast": 2.0, "beta_slow": 1.0})
    plain = base_frequencies(WIDTH, 100.0)
    ratio = plain / scaled.inv_freq
    assert ratio[0] == pytest.approx(1)
    assert ratio[-1] == pytest.approx(4)
    assert scaled.attention_scaling == pytest.approx(0.1 * math.log(4) + 1)


def test_longrope_switches_its_divisors_with_the_length():
    scaled = rotary(LONG)
    plain = base_frequencies(WIDTH, 100.0)
    short, _ = scaled.frequencies(8, None)
    long, factor = scaled.frequencies(9, None)
    torch.testing.assert_close(plain / short, torch.tensor([1.0, 1.0, 2.0, 2.0]))
    torch.testing.assert_close(plain / long, torch.tensor([3.0, 3.0, 4.0, 4.0]))
    assert factor == pytest.approx(math.sqrt(1 + math.log(2) / math.log(8)))


def test_llama3_scaling_has_three_regions():
    scaled = rotary(LLAMA3, theta=10000.0)
    ratio = base_frequencies(WIDTH, 10000.0) / scaled.inv_freq
    turns = 16 * base_frequencies(WIDTH, 10000.0) / (2 * math.pi)
    for change, count in zip(ratio.tolist(), turns.tolist(), strict=True):
        if count >= 4:
            assert change == pytest.approx(1)
        elif count <= 1:
            assert change == pytest.approx(8)
        else:
            assert 1 < change < 8


def test_an_unknown_type_is_refused():
    with pytest.raises(ConfigError, match=r"unknown rope_type 'yarm'.* Did you mean 'yarn'"):
        rotary({"rope_type": "yarm"})


@pytest.mark.parametrize("scaling", [{"rope_type": "linear"}, LLAMA3 | {"factor": None}])
def test_a_missing_value_is_named(scaling: dict[str, Any]):
    scaling = {key: value for key, value in scaling.items() if value is not None}
    with pytest.raises(ConfigError, match="lacks the key 'factor'"):
        rotary(scaling)


def test_frequencies_are_restored_on_a_device():
    embedding = rotary(LLAMA3)
    wanted = embedding.inv_freq
    embedding.inv_freq = torch.empty(WIDTH // 2, device="meta")
    embedding.reset_buffers("cpu")
    assert embedding.inv_freq.equal(wanted)
    assert not embedding.state_dict()


def test_channels_beyond_the_rotated_width_stay() -> None:
    query, key = torch.randn(2, 3, 5, 12), torch.randn(2, 1, 5, 12)
    cos, sin = RotaryEmbedding(8)(query, torch.arange(5)[None])
    whole = apply_rotary(query, key, cos, sin)
    part = apply_rotary(query[..., :8], key[..., :8], cos, sin)
    for rotated, rotated_part, plain in zip(whole, part, (query, key), strict=True):
        assert torch.equal(rotated[..., :8], rotated_part)
        assert torch.equal(rotated[..., 8:], plain[..., 8:])


def test_interleaved_pairs_turn_as_halves_do() -> None:
    query, key = torch.randn(2, 3, 5, 8), torch.randn(2, 1, 5, 8)
    positions = torch.arange(5)[None]
    halves = apply_rotary(query, key, *RotaryEmbedding(8)(query, positions))
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])  # pair (i, i + 4) becomes (2 i, 2 i + 1)
    cos, sin = RotaryEmbedding(8, interleaved=True)(query, positions)
    pairs = apply_rotary(query[..., order], key[..., order], cos, sin, swap=swap_neighbours)
    for half, pair in zip(halves, pairs, strict=True):
        assert torch.allclose(half[..., order], pair, atol=1e-6)


@pytest.mark.parametrize("kind", ["default", "dynamic", "linear", "llama3", "longrope", "yarn"])
def test_scalings_are_functions_of_a_config(kind: str) -> None:
    scaling = {"llama3": LLAMA3, "longrope": LONG}.get(kind, {"rope_type": kind, "factor": 4.0})
    config = LlamaLike(hidden_size=32, rope_theta=100.0, rope_scaling=scaling)
    embedding = RotaryEmbedding(WIDTH, 100.0, LIMIT, scaling)
    for length in (None, 40):
        found, factor = ROPE_INIT_FUNCTIONS[kind](config, device="cpu", seq_len=length)
        expected, expected_factor = embedding.frequencies(length or 0, None)
        assert found.equal(expected)
        assert factor == expected_factor
    bare = ROPE_INIT_FUNCTIONS["default"](None, "cpu", dim=WIDTH, base=100.0)[0]
    assert bare.equal(base_frequencies(WIDTH, 100.0))


class LlamaLike(SimpleNamespace):
    num_attention_heads, max_position_embeddings = 4, LIMIT
