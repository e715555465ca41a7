"""Deformable DETR's pictures, which are DETR's, and its detections, which know no "nothing"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail_models_vision.detr.image_processing import DetectionImageProcessor
from dovetail_models_vision.images.boxes import center_to_corners_format
from dovetail_models_vision.images.detections import above, scaled_boxes
from dovetail_models_vision.images.segments import check_targets


class DeformableDetrImageProcessor(DetectionImageProcessor):
    """A query may be found as several classes: the best pairs of both are taken."""

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.5,
        target_sizes: Any = None,
        top_k: int = 100,
    ) -> list[dict[str, Tensor]]:
        """``scores`` and ``labels`` (N,) and ``boxes`` (N, 4) by corners, of the `top_k` best pairs
        of query and class of each image those above `threshold`; boxes are in pixels with
        `target_sizes`."""
        check_targets(target_sizes, len(outputs.logits))
        scores, labels, boxes = best_pairs(outputs.logits, outputs.pred_boxes, top_k)
        return above(scores, labels, scaled_boxes(boxes, target_sizes), threshold)


def best_pairs(logits: Tensor, boxes: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits (B, Q, classes) the `count` highest: probabilities and classes (B, N), and the
    queries' boxes (B, N, 4) by corners."""
    probabilities = logits.sigmoid().flatten(1)
    scores, places = probabilities.topk(min(count, probabilities.shape[1]), dim=1)
    queries, labels = places // logits.shape[2], places % logits.shape[2]
    corners = center_to_corners_format(boxes)
    return scores, labels, torch.gather(corners, 1, queries[..., None].expand(-1, -1, 4))
