"""COCO's masks: filled polygons and run lengths, plain and compressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dovetail.errors import ProcessorError

Size = tuple[int, int]

SUBPIXELS = 5
"""How much finer than pixels the grid is on which outlines are drawn."""


def segmentation_to_mask(segmentation: Any, size: Size) -> np.ndarray:
    """A mask (height, width) of 0 and 1 from COCO's polygons (lists of x, y, x, y, ...) or run
    lengths (``{"counts": ..., "size": ...}``, down the columns, zeros first).

    Raises:
        ProcessorError: it is neither, or of another size.
    """
    if isinstance(segmentation, Mapping):
        return _runs_to_mask(segmentation, size)
    mask = np.zeros(size, dtype=np.uint8)
    for polygon in segmentation:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ProcessorError(
                f"segmentation: a polygon of {len(polygon)} numbers; it takes 3 points (x, y)."
            )
        mask |= _filled(np.asarray(polygon, dtype=float).reshape(-1, 2), size)
    return mask


def _filled(points: np.ndarray, size: Size) -> np.ndarray:
    """A polygon as COCO's own tools fill it: its outline is drawn on a grid five times as fine, and
    each place where that crosses the middle of a column turns the column from there on."""
    height, width = size
    corners = (SUBPIXELS * points + 0.5).astype(np.int64)
    outline = np.concatenate(
        [_line(a, b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    )
    before, after = outline[:-1], outline[1:]
    crosses = before[:, 0] != after[:, 0]
    lower = np.where(after[:, 0] < before[:, 0], after[:, 0], after[:, 0] - 1)[crosses]
    column = (lower + 0.5) / SUBPIXELS - 0.5
    row = (np.minimum(before[:, 1], after[:, 1])[crosses] + 0.5) / SUBPIXELS - 0.5
    inside = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    row = np.ceil(row.clip(0, height))
    places = (column * height + row)[inside].astype(np.int64)
    turns = np.bincount(places, minlength=height * width + 1)[: height * width]
    return (turns.cumsum() % 2).astype(np.uint8).reshape(width, height).T


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The grid points (N, 2) of a line, both ends included; rounding does not depend on the
    direction."""
    steps = np.abs(end - start)
    along = 0 if steps[0] >= steps[1] else 1
    turned = start[along] > end[along]
    low, high = (end, start) if turned else (start, end)
    ticks = np.arange(steps[along] + 1)
    slope = (high[1 - along] - low[1 - along]) / max(steps[along], 1)
    line = np.empty((len(ticks), 2), dtype=np.int64)
    line[:, along] = low[along] + ticks
    line[:, 1 - along] = np.trunc(low[1 - along] + slope * ticks + 0.5)
    return line[::-1] if turned else line


def _runs_to_mask(runs: Mapping[str, Any], size: Size) -> np.ndarray:
    counts = runs["counts"]
    if isinstance(counts, str | bytes):
        counts = _run_lengths(counts if isinstance(counts, str) else counts.decode("ascii"))
    if tuple(runs["size"]) != size or sum(counts) != size[0] * size[1]:
        raise ProcessorError(
            f"segmentation: runs of {sum(counts)} pixels for {tuple(runs['size'])} do not fill an "
            f"image of {size} (height, width)."
        )
    values = np.repeat(np.arange(len(counts)) % 2, counts)
    return values.reshape(size[::-1]).T.astype(np.uint8)


def _run_lengths(text: str) -> list[int]:
    """COCO's compressed run lengths: five bits for each character from "0", the sixth says that
    more follow; from the fourth number on they are differences to the last but one."""
    counts: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
