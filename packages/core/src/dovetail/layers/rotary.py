"""Rotary position embeddings (arXiv 2104.09864) with every scaling of the field.

A scaling is a dictionary as configs hold it: ``{"rope_type": "yarn", "factor": 4.0, ...}``. Angles
are float32 in every model dtype, since bfloat16 cannot tell neighbouring positions apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError, near_matches
from dovetail.layers.immediate import as_one, is_immediate

Frequencies = tuple[Tensor, float]
"""Inverse frequencies (E/2,) and the factor by which cosines and sines are multiplied."""


def base_frequencies(width: int, theta: float, device: Any = None) -> Tensor:
    """``theta ** (-2i / width)`` for each pair of channels."""
    return 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)


def _default(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    return base_frequencies(width, theta, device), 1.0


def _linear(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    """Positions divided by the factor (position interpolation, arXiv 2306.15595)."""
    return base_frequencies(width, theta, device) / scaling["factor"], 1.0


def _dynamic(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    """NTK-aware base that grows with the text once it is longer than the model was trained for."""
    factor = scaling["factor"]
    growth = factor * max(length, limit) / limit - (factor - 1)
    return base_frequencies(width, theta * growth ** (width / (width - 2)), device), 1.0


def _yarn(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    """Interpolates slow channels, keeps fast ones, with a ramp between them (YaRN, arXiv
    2309.00071)."""
    original = scaling.get("original_max_position_embeddings") or limit
    factor = scaling["factor"]

    def channel(rotations: float) -> float:
        return width * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = channel(scaling.get("beta_fast") or 32.0), channel(scaling.get("beta_slow") or 1.0)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    high = high + 0.001 if low == high else high
    keep = 1 - (
        (torch.arange(width // 2, dtype=torch.float32, device=device) - low) / (high - low)
    ).clamp(0, 1)
    plain = base_frequencies(width, theta, device)
    return plain / factor * (1 - keep) + plain * keep, _yarn_attention(scaling, factor)


def _yarn_attention(scaling: Mapping[str, Any], factor: float) -> float:
    def scale(amount: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * amount * math.log(factor) + 1.0

    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return scale(scaling["mscale"]) / scale(scaling["mscale_all_dim"])
    return scale(1.0)


def _longrope(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    """One searched divisor per channel, a set for short texts and a set for long ones (LongRoPE,
    arXiv 2402.13753)."""
    original = scaling.get("original_max_position_embeddings")
    factor = limit / original if original else scaling.get("factor") or 1.0
    original = original or limit
    divisors = torch.tensor(
        scaling["long_factor" if length > original else "short_factor"], device=device
    )
    attention = scaling.get("attention_factor")
    if attention is None:
        attention = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return base_frequencies(width, theta, device) / divisors.float(), attention


def _llama3(
    width: int, theta: float, scaling: Mapping[str, Any], limit: int, length: int, device: Any
) -> Frequencies:
    """Slow channels divided by the factor, fast ones kept, a smooth step between the two
    wavelengths (Llama 3.1)."""
    plain = base_frequencies(width, theta, device)
    turns = scaling["original_max_position_embeddings"] * plain / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    return plain / scaling["factor"] * (1 - keep) + plain * keep, 1.0


SCALINGS: dict[str, Callable[..., Frequencies]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
}
LENGTH_DEPENDENT = {"dynamic", "longrope"}


class RotaryEmbedding(nn.Module):
    """Cosines and sines (B, T, width) for given positions; `width` is the rotated part of a head.

    `limit` is ``max_position_embeddings``. A pair of channels is (i, i + width/2), or (2i, 2i + 1)
    when `interleaved`. Frequencies that depend on the length are computed anew
    for each forward pass.
    """

    inv_freq: Tensor

    def __init__(
        self,
        width: int,
        theta: float = 10000.0,
        limit: int = 2048,
        scaling: Mapping[str, Any] | None = None,
        interleaved: bool = False,
    ) -> None:
        super().__init__()
        self.interleaved = interleaved
        self.width, self.theta, self.limit, self.scaling = width, theta, limit, dict(scaling or {})
        self.kind = self.scaling.get("rope_type") or self.scaling.get("type") or "default"
        if self.kind not in SCALINGS:
            raise ConfigError(
                f"rope_scaling: unknown rope_type {self.kind!r}."
                f"{near_matches(self.kind, SCALINGS)} "
                f"Known: {', '.join(SCALINGS)}."
            )
        inv_freq, self.attention_scaling = self.frequencies(0, None)
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    @property
    def constant_length(self) -> int | None:
        """The longest text whose frequencies are those of any shorter one; None when that is
        every text."""
        if self.kind not in LENGTH_DEPENDENT:
            return None
        original = self.scaling.get("original_max_position_embeddings")
        return original if self.kind == "longrope" and original else self.limit

    def reset_buffers(self, device: Any = None) -> None:
        """Compute the frequencies; called again after construction on the meta device."""
        self.inv_freq, self.attention_scaling = self.frequencies(0, device)

    def frequencies(self, length: int, device: Any) -> Frequencies:
        """Inverse frequencies and cosine factor for a text of `length` positions."""
        try:
            return SCALINGS[self.kind](
                self.width, self.theta, self.scaling, self.limit, length, device
            )
        except KeyError as missing:
            raise ConfigError(
                f"rope_scaling of type {self.kind!r} lacks the key {missing}."
            ) from None

    @torch.no_grad()
    def forward(self, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines for `position_ids` (B, T), in the dtype of `hidden_states`.

        The first channel of a pair (a, b) turns into ``a cos - b sin``: its sine is returned
        negative, so that turning takes one product with the swapped pair.
        """
        inv_freq, factor = self.inv_freq, self.attention_scaling
        if self.kind in LENGTH_DEPENDENT:
            inv_freq, factor = self.frequencies(int(position_ids.max()) + 1, position_ids.device)
        angles = self.angles(position_ids, inv_freq)  # (B, T, E/2)
        cos, sin = angles.cos() * factor, angles.sin() * factor
        if self.interleaved:
            cos, sin = cos.repeat_interleave(2, -1), torch.stack((-sin, sin), -1).flatten(-2)
        else:
            cos, sin = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        return cos.to(hidden_states.dtype), sin.to(hidden_states.dtype)

    def angles(self, position_ids: Tensor, inv_freq: Tensor) -> Tensor:
        """By how much each pair of channels turns (B, T, E/2)."""
        return position_ids[..., None].float() * inv_freq.float()


def swap_halves(x: Tensor) -> Tensor:
    """Exchange the channels of each pair (channel i, channel i + E/2)."""
    return x.roll(x.shape[-1] // 2, -1)


def swap_neighbours(x: Tensor) -> Tensor:
    """Exchange the channels of each pair (channel 2i, channel 2i + 1)."""
    return x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)


def apply_rotary(
    query: Tensor,
    key: Tensor,
    cos: Tensor,
    sin: Tensor,
    heads_dim: int = 1,
    swap: Callable[[Tensor], Tensor] = swap_halves,
) -> tuple[Tensor, Tensor]:
    """Rotate query (B, H, T, E) and key (B, K, T, E); `heads_dim` is where their heads are.

    `cos` and `sin` (B, T, width) are those of `RotaryEmbedding`; `swap` tells what a pair of
    channels is: `swap_halves` or `swap_neighbours`. Channels beyond the width of `cos` stay as they
    are. Heads that lie side by side in memory, as `dovetail.layers.projections.together` leaves
    them, turn as one.
    """
    if heads_dim != 1 or len(cos) > 1:  # else they broadcast as they are
        cos, sin = cos.unsqueeze(heads_dim), sin.unsqueeze(heads_dim)
    if is_immediate() and (both := as_one((query, key), heads_dim)) is not None:
        heads = [query.shape[heads_dim], key.shape[heads_dim]]
        query, key = _rotated(both, cos, sin, swap).split_with_sizes(heads, heads_dim)
        return query, key
    return _rotated(query, cos, sin, swap), _rotated(key, cos, sin, swap)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor, swap: Callable[[Tensor], Tensor]) -> Tensor:
    width = cos.shape[-1]
    if width < x.shape[-1]:
        return torch.cat((_rotated(x[..., :width], cos, sin, swap), x[..., width:]), -1)
    return torch.addcmul(x * cos, swap(x), sin)
