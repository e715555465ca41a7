"""Embeddings of tokens and positions that torch does not have."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class ScaledEmbedding(nn.Embedding):
    """An embedding whose vectors are multiplied by `scale`, usually the root of their width."""

    def __init__(self, *sizes: Any, scale: float, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * self.scale


class OffsetEmbedding(nn.Embedding):
    """Learned positions whose first `offset` rows are never used, as fairseq has it."""

    def __init__(self, positions: int, width: int, offset: int = 2) -> None:
        super().__init__(positions + offset, width)
        self.offset = offset

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input + self.offset)


class SinusoidalEmbedding(nn.Module):
    """Fixed positions: sines in the first half of the channels, cosines in the second.

    Wavelengths go from 2π to 10000 times that, the last included only with `closed`. `blank` is a
    position without any signal (the one that padding gets). The table is a buffer called `name`,
    and part of checkpoints if `persistent`.
    """

    def __init__(
        self,
        positions: int,
        width: int,
        *,
        closed: bool = False,
        blank: int | None = None,
        name: str = "weight",
        persistent: bool = True,
    ) -> None:
        super().__init__()
        self.positions, self.width, self.closed, self.blank = positions, width, closed, blank
        self.name = name
        self.register_buffer(name, self.table(), persistent=persistent)

    def table(self, device: Any = None) -> Tensor:
        """The vectors (positions, width)."""
        half = self.width // 2
        steps = torch.arange(half, dtype=torch.float32, device=device) / (half - self.closed)
        angles = torch.arange(self.positions, device=device)[:, None] * torch.exp(
            -math.log(10000.0) * steps
        )
        table = torch.cat((angles.sin(), angles.cos()), 1)
        if self.blank is not None:
            table[self.blank] = 0.0
        return table.to(torch.get_default_dtype())

    def reset_buffers(self, device: Any = None) -> None:
        """Compute the table; called again after construction on the meta device."""
        setattr(self, self.name, self.table(device))

    def forward(self, position_ids: Tensor) -> Tensor:
        """Vectors (..., width) of `position_ids`."""
        return nn.functional.embedding(position_ids, getattr(self, self.name))
