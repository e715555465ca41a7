"""Normalisation layers that torch does not have under the field's conventions."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.immediate import is_immediate


@cache
def _constant(value: float) -> Tensor:
    # Kept for good: whatever defaults hold at the first call must not decide what it is.
    return torch.tensor(value, dtype=torch.float32, device="cpu")


class HeadNorm(nn.LayerNorm):
    """A layer norm over the last axis of (..., H, E), with weights (H, E) and no bias."""

    def __init__(self, heads: int, width: int, eps: float = 1e-5) -> None:
        super().__init__((heads, width), eps, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, input.shape[-1:], eps=self.eps) * self.weight


class ChannelLayerNorm(nn.LayerNorm):
    """A layer norm over the channels of feature maps (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RMSNorm(nn.Module):
    """Root-mean-square norm (arXiv 1910.07467), computed in float32 and cast back before the weight
    is applied.

    With `offset` the weight is stored as its distance from 1 and applied in float32, as in Gemma.
    """

    def __init__(self, size: int, eps: float = 1e-6, offset: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size) if offset else torch.ones(size))
        self.eps, self.offset = eps, offset

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cpu or not is_immediate():
            if x.dtype is torch.float32 and not self.offset:
                return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
            scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
        elif x.numel() == x.shape[-1] and x.dtype is torch.float32 and not self.offset:
            return self._row(x)
        else:
            scale = self._scale(x)
        if self.offset:
            return (x * scale * (1.0 + self.weight.float())).to(x.dtype)
        return self.weight * (x * scale).to(x.dtype)

    def _scale(self, x: Tensor) -> Tensor:
        """One over the root mean square of x (..., D), float32 (..., 1), in the fewest operations:
        of a single row each costs the same on a CPU."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        mean_square = torch.addcmul(_constant(self.eps), length, length, value=1 / x.shape[-1])
        return mean_square.rsqrt_()

    def _row(self, x: Tensor) -> Tensor:
        """The norm of a single row, its scale a number of Python's."""
        row = x.view(-1)
        mean_square = row.dot(row).item() / row.numel() + self.eps
        scale = mean_square**-0.5 if mean_square else math.inf
        return torch.addcmul(_constant(0.0), x, self.weight, value=scale)

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, eps={self.eps}" + (", offset" if self.offset else "")
