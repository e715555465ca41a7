"""Weights whose columns share a scale and a zero in groups: ``(code - zero) * scale``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError
from dovetail_quantizers.kernels import Kind, tinygemm
from dovetail_quantizers.layers import PackedLinear


class GroupedLinear(PackedLinear):
    """What GPTQ, AWQ and their relatives have in common; a format registers the buffers.

    `codes` gives the integers (out, in) in uint8, `scales_and_zeros` two float32 tensors
    (out, groups), and `group_of` the group of each column, None where groups are consecutive
    columns. `group_size` -1 stands for whole rows.
    """

    def __init__(self, layer: nn.Linear, name: str, bits: int, group_size: int) -> None:
        super().__init__(layer)
        self.bits = bits
        self.group_size = self.in_features if group_size == -1 else group_size
        if self.in_features % self.group_size:
            raise ConfigError(
                f"{name}: group_size={group_size} does not divide its {self.in_features} columns. "
                "Choose one that does, or name the layer in modules_to_not_convert."
            )
        self.kind = self._kind()

    def _kind(self) -> Kind | None:
        fits = tinygemm.accepts(self.out_features, self.in_features, self.group_size)
        return "int4" if self.bits == 4 and fits else None

    def codes(self) -> Tensor:
        """The integers (out, in)."""
        raise ConfigError(f"{type(self).__name__} does not say how to read its codes.")

    def put_codes(self, codes: Tensor) -> None:
        """Write what `codes` reads."""
        raise ConfigError(f"{type(self).__name__} does not say how to write its codes.")

    def scales_and_zeros(self) -> tuple[Tensor, Tensor]:
        """Two tensors (out, groups), float32."""
        raise ConfigError(f"{type(self).__name__} does not say how to read its scales.")

    def group_of(self) -> Tensor | None:
        """The group of each column (in), None for consecutive ones."""
        return None

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        scales, zeros = self.scales_and_zeros()
        groups = self.group_of()
        if groups is not None:
            return (self.codes() - zeros[:, groups]) * scales[:, groups]
        codes = self.codes().unflatten(1, (-1, self.group_size))
        return ((codes - zeros.unsqueeze(2)) * scales.unsqueeze(2)).flatten(1)

    def held(self) -> tuple[Tensor, ...]:
        """Codes, scales and offsets."""
        scales, zeros = self.scales_and_zeros()
        return self.codes(), scales, -zeros * scales

    def take_back(self, *held: Tensor) -> None:
        """Put the codes into their buffer; scales and zeros never left."""
        self.put_codes(held[0])

    def release(self) -> None:
        """Let go of the codes."""
        self._buffers["qweight"] = None

    def empty(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Register a buffer that a checkpoint fills."""
        self.register_buffer(name, torch.empty(shape, dtype=dtype, device="meta"))


def rounded_groups(
    weight: Tensor, bits: int, group_size: int, symmetric: bool
) -> tuple[Tensor, Tensor]:
    """Scale and zero (out, groups) that spread the codes over each group's range.

    Symmetric ones have the middle code as zero; others cover zero and the group's extremes.
    """
    last = 2**bits - 1
    grouped = weight.float().unflatten(1, (-1, group_size))
    low, high = grouped.amin(2).clamp_(max=0), grouped.amax(2).clamp_(min=0)
    if symmetric:
        high = torch.maximum(high, -low)
        low = -high
    is_flat = high == low
    low, high = torch.where(is_flat, -1.0, low), torch.where(is_flat, 1.0, high)
    scale = (high - low) / last
    zero = torch.full_like(scale, (last + 1) // 2) if symmetric else (-low / scale).round()
    return scale, zero


def nearest_codes(
    weight: Tensor, scale: Tensor, zero: Tensor, bits: int, group_size: int
) -> Tensor:
    """The codes (out, in), uint8, nearest to `weight`."""
    grouped: Any = weight.float().unflatten(1, (-1, group_size))
    codes = (grouped / scale.unsqueeze(2) + zero.unsqueeze(2)).round().clamp(0, 2**bits - 1)
    return codes.flatten(1).to(torch.uint8)
