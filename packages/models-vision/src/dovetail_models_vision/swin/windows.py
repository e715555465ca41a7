"""Cutting maps of patches into windows, which may be shifted, and joining them again.

B batch, H height, W width, D channels, T patches of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

APART = -100.0
"""Added to the scores of patches that are no neighbours, as the original does."""


@dataclass(frozen=True)
class Windows:
    """How a map of `rows` by `columns` patches is cut into squares of `size`, after it is rolled up
    and left by `shift`; the last windows are filled up with zeros."""

    rows: int
    columns: int
    size: int
    shift: int

    @classmethod
    def of(cls, maps: Tensor, size: int, shift: int, shrinks: bool = True) -> Windows:
        """For `maps` (B, H, W, D); one that is not larger than a window is not shifted, and its
        window `shrinks` to it."""
        rows, columns = maps.shape[1:3]
        smaller = min(rows, columns)
        if not shrinks:
            return cls(rows, columns, size, shift)
        return cls(rows, columns, min(size, smaller), shift if smaller > size else 0)

    @property
    def grid(self) -> tuple[int, int]:
        """Windows from top to bottom and from left to right."""
        return -(-self.rows // self.size), -(-self.columns // self.size)

    def cut(self, maps: Tensor) -> Tensor:
        """Windows (B * windows, T, D), row by row, of `maps` (B, H, W, D)."""
        below, right = -self.rows % self.size, -self.columns % self.size
        maps = F.pad(maps, (0, 0, 0, right, 0, below))
        if self.shift:
            maps = maps.roll((-self.shift, -self.shift), (1, 2))
        tiles = maps.unflatten(2, (-1, self.size)).unflatten(1, (-1, self.size))
        return tiles.transpose(2, 3).flatten(0, 2).flatten(1, 2)

    def join(self, windows: Tensor) -> Tensor:
        """The maps (B, H, W, D) of `windows` (B * windows, T, D)."""
        tiles = windows.unflatten(1, (self.size, self.size)).unflatten(0, (-1, *self.grid))
        maps = tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        if self.shift:
            maps = maps.roll((self.shift, self.shift), (1, 2))
        return maps[:, : self.rows, : self.columns]

    def mask(self, device: Any) -> Tensor | None:
        """What is added to the scores of each window, (windows, T, T), so that patches which were
        rolled around do not see those they are no neighbours of; None where nothing was rolled."""
        if not self.shift:
            return None
        rows, columns = (count * self.size for count in self.grid)
        region = 3 * self.region(rows)[:, None] + self.region(columns)  # (H, W)
        tiles = region.to(device).view(self.grid[0], self.size, self.grid[1], self.size)
        tiles = tiles.transpose(1, 2).flatten(0, 1).flatten(1)  # (windows, T)
        return (tiles[:, None] != tiles[:, :, None]) * APART

    def region(self, count: int) -> Tensor:
        """For each of `count` rows or columns in which of three parts it is: whole windows, the
        rest up to where the map was rolled, and what was rolled around."""
        positions = torch.arange(count)
        return (positions >= count - self.size).long() + (positions >= count - self.shift)


def relative_positions(size: int) -> Tensor:
    """For each two patches of a square of `size`, (T, T), which distance is between them."""
    steps = torch.arange(size)
    apart = steps[:, None] - steps + size - 1  # (size, size)
    rows, columns = apart[:, None, :, None], apart[None, :, None, :]
    return (rows * (2 * size - 1) + columns).reshape(size**2, size**2)
