"""Choosing zeros so that the errors are sparse (the half-quadratic solver of HQQ)."""

from __future__ import annotations

import torch
from torch import Tensor

NORM, SHARPNESS, GROWTH, STEPS = 0.7, 10.0, 1.01, 20
STEEPEST = 2e4


def fitted(groups: Tensor, bits: int, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes like `groups` (uint8), and scale and zero that span `axis`.

    The zero is improved in turns: shrink the errors as the norm of 0.7 wants, then take the zero
    that leaves these. It ends when the mean error grows.
    """
    last = 2**bits - 1
    low, high = groups.amin(axis, keepdim=True), groups.amax(axis, keepdim=True)
    steepness = (last / (high - low)).clamp(max=STEEPEST)
    zero = -low * steepness
    zero = zero.round() if bits == 4 else zero
    best, sharpness = torch.inf, SHARPNESS
    for _ in range(STEPS):
        codes = (groups * steepness + zero).round().clamp(0, last)
        error = groups - (codes - zero) / steepness
        sparse = error.sign() * (error.abs() - error.abs() ** (NORM - 1) / sharpness).relu()
        zero = (codes - (groups - sparse) * steepness).mean(axis, keepdim=True)
        sharpness *= GROWTH
        size = error.abs().mean().item()
        if size >= best:
            break
        best = size
    codes = (groups * steepness + zero).round().clamp(0, last)
    return codes.to(torch.uint8), 1 / steepness, zero
