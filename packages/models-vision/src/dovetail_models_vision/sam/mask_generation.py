"""Everything in a picture: crops, grids of points, and choosing among the masks found
(arXiv 2304.02643, appendix B).

N masks of height h and width w; boxes are left, top, right, bottom in pixels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

RunLengths = dict[str, Any]
"""``{"size": [height, width], "counts": [...]}``: lengths of runs of zeros and ones in turn, down
the columns, the first of zeros."""

EDGE_TOLERANCE = 20.0
"""A box this near to a crop's edge, in pixels, was cut by it."""


def crop_boxes(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[list[int]]:
    """The whole picture of (height, width), then in layer i 4**i overlapping crops."""
    height, width = size
    boxes = [[0, 0, width, height]]
    for layer in range(layers):
        per_side = 2 ** (layer + 1)
        overlap = int(overlap_ratio * min(size) * (2 / per_side))
        across, down = (
            math.ceil((overlap * (per_side - 1) + n) / per_side) for n in (width, height)
        )
        for i, j in itertools.product(range(per_side), repeat=2):
            left, top = (across - overlap) * i, (down - overlap) * j
            boxes.append([left, top, min(left + across, width), min(top + down, height)])
    return boxes


def point_grid(per_side: int) -> np.ndarray:
    """The middles (per_side ** 2, 2) of a grid's cells, x and y between 0 and 1, row by row."""
    steps = (np.arange(per_side) + 0.5) / per_side
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)


def kept_masks(
    masks: Tensor,
    iou_scores: Tensor,
    size: tuple[int, int],
    crop: Sequence[int],
    pred_iou_thresh: float,
    stability_score_thresh: float,
    mask_threshold: float,
    stability_score_offset: float,
) -> tuple[list[RunLengths], Tensor, Tensor]:
    """Run lengths (of the whole picture), scores and boxes (within the crop) of the masks that are
    expected to fit, stable under another threshold, and not cut by an edge of the crop that is none
    of the picture's."""
    if masks.shape[:2] != iou_scores.shape:
        raise ValueError(
            f"masks {tuple(masks.shape)} and iou_scores {tuple(iou_scores.shape)} are for "
            "different numbers of prompts or masks."
        )
    masks, scores = masks.flatten(0, 1), iou_scores.flatten()
    keep = torch.ones_like(scores, dtype=torch.bool)
    if pred_iou_thresh > 0:
        keep &= scores > pred_iou_thresh
    if stability_score_thresh > 0:
        stable = stability(masks, mask_threshold, stability_score_offset)
        keep &= stable > stability_score_thresh
    masks, scores = masks[keep] > mask_threshold, scores[keep]
    boxes = mask_boxes(masks)
    whole = ~cut_by_edge(boxes, crop, size)
    masks, scores, boxes = masks[whole], scores[whole], boxes[whole]
    left, top, right, bottom = crop
    placed = F.pad(masks, (left, size[1] - right, top, size[0] - bottom))
    return run_lengths(placed), scores, boxes


def stability(masks: Tensor, threshold: float, offset: float) -> Tensor:
    """How little masks (N, h, w) change from a stricter to a laxer threshold: (N,), at most 1."""
    strict = (masks > threshold + offset).sum((1, 2))
    lax = (masks > threshold - offset).sum((1, 2))
    return strict / lax


def mask_boxes(masks: Tensor) -> Tensor:
    """Boxes (N, 4) around masks (N, h, w); zeros around nothing."""
    boxes = torch.zeros(len(masks), 4, dtype=torch.long, device=masks.device)
    for index, mask in enumerate(masks):
        rows, columns = (mask.any(axis).nonzero()[:, 0] for axis in (1, 0))
        if len(rows):
            boxes[index] = torch.stack((columns[0], rows[0], columns[-1], rows[-1]))
    return boxes


def cut_by_edge(boxes: Tensor, crop: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Whether boxes (N, 4) within `crop` end near an edge of it which is none of the picture's."""
    place = torch.tensor(crop, dtype=torch.float, device=boxes.device)
    whole = torch.tensor((0, 0, size[1], size[0]), dtype=torch.float, device=boxes.device)
    corners = boxes + place[[0, 1, 0, 1]]
    near = ((corners - edges).abs() <= EDGE_TOLERANCE for edges in (place, whole))
    return (next(near) & ~next(near)).any(1)


def run_lengths(masks: Tensor) -> list[RunLengths]:
    """Masks (N, h, w) as run lengths."""
    height, width = masks.shape[1:]
    found = []
    for mask in masks.mT.flatten(1).cpu().numpy():
        turns = np.flatnonzero(mask[1:] != mask[:-1]) + 1
        counts = np.diff(np.concatenate(([0], turns, [mask.size]))).tolist()
        counts = [0, *counts] if mask[0] else counts
        found.append({"size": [height, width], "counts": counts})
    return found


def from_run_lengths(encoded: RunLengths) -> np.ndarray:
    """The mask (height, width)."""
    height, width = encoded["size"]
    counts = encoded["counts"]
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def best_masks(
    masks: Sequence[RunLengths], scores: Tensor, boxes: Tensor, threshold: float
) -> tuple[list[np.ndarray], Tensor, list[RunLengths], Tensor]:
    """Masks, scores, run lengths and boxes that no better one overlaps by more than `threshold`,
    the best first."""
    keep = suppress(boxes.float(), scores, threshold)
    kept = [masks[index] for index in keep.tolist()]
    return [from_run_lengths(mask) for mask in kept], scores[keep], kept, boxes[keep]


def suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes (N, 4) that non-maximum suppression keeps, by falling score."""
    order = scores.argsort(descending=True, stable=True)
    kept = []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[order, :2], boxes[best, :2])
        high = torch.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        overlap = shared / (area[order] + area[best] - shared)
        order = order[~(overlap > threshold)]
    return torch.stack(kept) if kept else order
