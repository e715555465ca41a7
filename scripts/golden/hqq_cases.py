"""Checkpoints packed by the hqq package."""

from __future__ import annotations

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from quantized import Case, Pack
from torch import Tensor, nn


def hqq(bits: int, size: int, axis: int) -> Pack:
    """A pack of these settings."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        config = BaseQuantizeConfig(nbits=bits, group_size=size, axis=axis)
        packed = HQQLinear(layer, config, compute_dtype=weight.dtype, device="cpu")
        return dict(packed.state_dict()), packed.dequantize()

    return pack


def described(bits: int, size: int, axis: int) -> dict:
    """The config as checkpoints hold it."""
    config = BaseQuantizeConfig(nbits=bits, group_size=size, axis=axis)
    return {"quant_method": "hqq", "quant_config": config, "skip_modules": ["lm_head"]}


CASES = [
    Case(f"hqq-{bits}-axis-{axis}", described(bits, size, axis), hqq(bits, size, axis), dtype)
    for bits, size, axis, dtype in (
        (1, 32, 1, torch.float32),
        (2, 16, 0, torch.float32),
        (3, 32, 1, torch.float32),
        (4, 32, 1, torch.float32),
        (4, 64, 0, torch.float32),
        (8, 64, 1, torch.float32),
    )
]
