"""Boxes as tensors (..., 4): by center and size, as models predict them, or by corners."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5


def to_corners(boxes: Tensor) -> Tensor:
    """(center x, center y, width, height) as (left, top, right, bottom)."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((center - half, center + half), -1)


def to_centers(boxes: Tensor) -> Tensor:
    """(left, top, right, bottom) as (center x, center y, width, height)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) / 2, high - low), -1)


def area(boxes: Tensor) -> Tensor:
    """The area (...) of boxes by corners; of half precision in float32, which cannot overflow."""
    boxes = boxes.float() if boxes.dtype in (torch.float16, torch.bfloat16) else boxes
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection_over_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The share of each two boxes (N, 4) and (M, 4), by corners, in their union, and the union's
    area: both (N, M)."""
    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = area(first)[:, None] + area(second) - shared
    return shared / union, union


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """The generalized intersection over union (arXiv 1902.09630) of each two boxes (N, 4) and
    (M, 4), by corners: (N, M), from -1 to 1.

    Raises:
        ValueError: a box ends before it starts.
    """
    for name, boxes in (("first", first), ("second", second)):
        if not bool((boxes[:, 2:] >= boxes[:, :2]).all()):
            raise ValueError(
                f"Some of the {name} boxes end before they start: {boxes.tolist()[:4]}. "
                "Give (left, top, right, bottom), without NaN."
            )
    iou, union = intersection_over_union(first, second)
    low = torch.minimum(first[:, None, :2], second[:, :2])
    high = torch.maximum(first[:, None, 2:], second[:, 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return iou - (hull - union) / hull


def inverse_sigmoid(x: Tensor, eps: float = EPSILON) -> Tensor:
    """The logit of `x` from 0 to 1, both kept `eps` away."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))
