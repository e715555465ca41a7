"""Boxes of detectors, in shares of a picture, as boxes in its pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scaled_boxes(boxes: Tensor, target_sizes: Any) -> Tensor:
    """Boxes (B, N, 4) by corners, multiplied by each image's (height, width); as they are without
    sizes."""
    if target_sizes is None:
        return boxes
    sizes = torch.stack([torch.as_tensor(size) for size in target_sizes]).to(boxes.device)
    height, width = sizes.unbind(1)
    return boxes * torch.stack([width, height, width, height], dim=1)[:, None, :]


def above(
    scores: Tensor, labels: Tensor, boxes: Tensor, threshold: float
) -> list[dict[str, Tensor]]:
    """For each image its ``scores``, ``labels`` and ``boxes`` above the threshold."""
    return [
        {"scores": s[s > threshold], "labels": n[s > threshold], "boxes": b[s > threshold]}
        for s, n, b in zip(scores, labels, boxes, strict=True)
    ]
