"""Boxes by corners or by center and size, boxes of masks, and the colors of panoptic pictures."""

from __future__ import annotations

from typing import Any

import numpy as np


def _joined(columns: list[Any], like: Any) -> Any:
    """The columns beside each other, as what they came from."""
    if isinstance(like, np.ndarray):
        return np.stack(columns, axis=-1)
    import torch

    return torch.stack(columns, dim=-1)


def _columns(boxes: Any) -> list[Any]:
    return [boxes[..., i] for i in range(4)]


def center_to_corners_format(bboxes_center: Any) -> Any:
    """(center x, center y, width, height) as (left, top, right, bottom): arrays or tensors
    (..., 4)."""
    x, y, width, height = _columns(bboxes_center)
    corners = [x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height]
    return _joined(corners, bboxes_center)


def corners_to_center_format(bboxes_corners: Any) -> Any:
    """(left, top, right, bottom) as (center x, center y, width, height): arrays or tensors
    (..., 4)."""
    left, top, right, bottom = _columns(bboxes_corners)
    centers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return _joined(centers, bboxes_corners)


def masks_to_boxes(masks: np.ndarray) -> np.ndarray:
    """The corners (N, 4) of the outermost pixels of masks (N, H, W); zeros for empty masks."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1], rows[-1]
    return boxes


def rgb_to_id(color: Any) -> Any:
    """The segment's number that a color of a panoptic picture stands for: ``r + 256 g + 256² b``.

    `color` is a list of three numbers, or an array (H, W, 3), which gives one (H, W).
    """
    if isinstance(color, np.ndarray) and color.ndim == 3:
        wide = color.astype(np.int32)
        return wide[..., 0] + 256 * wide[..., 1] + 256 * 256 * wide[..., 2]
    return int(color[0] + 256 * int(color[1]) + 256 * 256 * int(color[2]))


def id_to_rgb(id_map: Any) -> Any:
    """The color of a segment's number: a list of three, or (H, W, 3) bytes of an array (H, W)."""
    if isinstance(id_map, np.ndarray):
        return np.stack([(id_map >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
    return [(int(id_map) >> shift) & 255 for shift in (0, 8, 16)]
