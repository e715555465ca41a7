"""SpecAugment (arXiv 1904.08779): spans of frames and of channels hidden in training.

All draws are torch's, so that ``torch.manual_seed`` makes them the same again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.errors import ConfigError


def span_mask(
    shape: tuple[int, int],
    probability: float,
    span: int,
    lengths: Tensor | None = None,
    least: int = 0,
) -> Tensor:
    """True (B, T) where spans of `span` positions are hidden, about `probability` of all.

    A row gets at least `least` spans, which may overlap, within its first `lengths` (B,) positions.

    Raises:
        ConfigError: spans longer than the rows.
    """
    rows, width = shape
    if span > width:
        raise ConfigError(
            f"A span of {span} cannot be hidden. Spans of {span} positions do not fit into {width}"
            ": lower mask_time_length (or mask_feature_length), or give longer sounds."
        )
    chance = torch.rand(()).item()
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, length in zip(mask, [width] * rows if lengths is None else lengths, strict=True):
        starts = max(int(length) - span + 1, 0)
        count = max(int(probability * int(length) / span + chance), least)
        count = min(count, int(length) // span, starts)
        first = torch.randperm(starts)[:count]
        row[(first[:, None] + torch.arange(span)).flatten()] = True
    return mask


def negative_indices(mask: Tensor, count: int) -> Tensor:
    """For each masked frame of `mask` (B, T), `count` other masked frames of its row, as indices
    (B, T, `count`) into all rows laid one behind the other; zeros elsewhere.

    Raises:
        ValueError: a row with one masked frame alone, which has no others.
    """
    rows, width = mask.shape
    drawn = torch.zeros(rows, width, count, dtype=torch.long)
    for row in range(rows):
        frames = mask[row].nonzero()[:, 0].cpu()
        size = len(frames)
        if size == 1:
            raise ValueError(
                f"Row {row} of mask_time_indices has one masked frame: negatives are drawn from "
                "the others, so mask two at least."
            )
        if size:
            others = torch.randint(size - 1, (size, count))
            others += others >= torch.arange(size)[:, None]  # never the frame itself
            drawn[row, frames] = frames[others] + row * width
    return drawn.to(mask.device)
