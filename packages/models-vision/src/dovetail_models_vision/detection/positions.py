"""Embeddings of the places of a feature map, for transformers that read it as a sequence."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

POSITIONS = ("sine", "learned")


class SinePositions(nn.Module):
    """Sines and cosines of a place's row and column, counted among the visible places and scaled to
    one turn (arXiv 2005.12872).

    `channels` are those of one coordinate, rows come first. `offset` moves places by that part of
    one: -0.5 means their middle.
    """

    def __init__(self, channels: int, temperature: float = 10000.0, offset: float = 0.0) -> None:
        super().__init__()
        self.channels, self.temperature, self.offset = channels, temperature, offset

    def forward(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """Vectors (B, 2 * channels, H, W) of the places of `mask` (B, H, W), 0 where padding is."""
        parts = [self.coordinate(mask, axis) for axis in (1, 2)]
        return torch.cat(parts, -1).permute(0, 3, 1, 2).to(dtype)

    def coordinate(self, mask: Tensor, axis: int) -> Tensor:
        """Vectors (B, H, W, channels) of the coordinate along `axis`."""
        place = mask.cumsum(axis, dtype=torch.float32)
        last = place.narrow(axis, place.shape[axis] - 1, 1)
        angle = (place + self.offset) / (last + 1e-6) * (2 * math.pi)
        return waves(angle, self.channels, self.temperature)


def waves(angle: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """Sines and cosines in turn (..., channels) of `angle` (...), each pair slower."""
    step = torch.arange(channels, dtype=torch.float32, device=angle.device)
    speed = temperature ** (2 * (step // 2) / channels)
    angles = angle[..., None] / speed
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), -1).flatten(-2)


def grid_waves(height: int, width: int, channels: int, temperature: float, device: Any) -> Tensor:
    """Vectors (height * width, channels) of the places of a map, row by row: sines, then cosines of
    one coordinate, then of the other.

    As the field has trained them, places are numbered column by column, which for a square map
    means no more than that its coordinates change their names.
    """
    order = torch.arange(height * width, device=device)
    size = channels // 4
    step = torch.arange(size, dtype=torch.float32, device=device)
    speed = 1 / temperature ** (step / size)
    angles = [place[:, None] * speed for place in (order // height, order % height)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], -1)


class LearnedPositions(nn.Module):
    """A learned vector for each column and each row, up to `places`; columns come first."""

    def __init__(self, channels: int, places: int = 50) -> None:
        super().__init__()
        self.row_embeddings = nn.Embedding(places, channels)
        self.column_embeddings = nn.Embedding(places, channels)

    def forward(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """Vectors (B, 2 * channels, H, W) of the places of `mask` (B, H, W)."""
        batch, height, width = mask.shape
        if max(height, width) > self.row_embeddings.num_embeddings:
            raise ValueError(
                f"The feature map has {height} x {width} places, but learned positions go up to "
                f"{self.row_embeddings.num_embeddings}: give smaller pictures."
            )
        columns = self.column_embeddings.weight[:width].expand(height, -1, -1)
        rows = self.row_embeddings.weight[:height, None].expand(-1, width, -1)
        table = torch.cat((columns, rows), -1).permute(2, 0, 1)  # (2 * channels, H, W)
        return table.expand(batch, -1, -1, -1).to(dtype)


def position_embedding(kind: str, width: int, offset: float = 0.0) -> nn.Module:
    """The embedding that ``config.position_embedding_type`` names, for models of `width`."""
    return (
        LearnedPositions(width // 2)
        if kind == "learned"
        else SinePositions(width // 2, offset=offset)
    )
