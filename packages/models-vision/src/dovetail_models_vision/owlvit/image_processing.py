"""OWL-ViT's pictures, squares of 768 pixels, and the boxes found for texts or for a picture."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from dovetail_models_vision.detection.boxes import intersection_over_union
from dovetail_models_vision.images.boxes import center_to_corners_format
from dovetail_models_vision.images.detections import above, scaled_boxes
from dovetail_models_vision.images.formats import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    PILImageResampling,
)
from dovetail_models_vision.images.processor import ImageProcessor
from dovetail_models_vision.images.segments import check_targets

Found = dict[str, Tensor | None]


class OwlViTImageProcessor(ImageProcessor):
    """Resizes to a square and normalizes by CLIP's statistics."""

    size = {"height": 768, "width": 768}
    resample = PILImageResampling.BICUBIC
    do_center_crop = False
    crop_size = {"height": 768, "width": 768}
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD

    def post_process(self, outputs: Any, target_sizes: Any) -> list[dict[str, Tensor]]:
        """Retired: every box, in pixels; use `post_process_object_detection`."""
        warnings.warn(
            "post_process is retired: use post_process_object_detection, with threshold=0.0 for "
            "every box.",
            FutureWarning,
            stacklevel=2,
        )
        return self.post_process_object_detection(outputs, -1.0, target_sizes)

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.1, target_sizes: Any = None
    ) -> list[dict[str, Tensor]]:
        """``scores`` and ``labels`` (N,), the number of the text, and ``boxes`` (N, 4) by corners,
        of every box above `threshold`; in pixels with `target_sizes`."""
        check_targets(target_sizes, len(outputs.logits))
        best, labels = outputs.logits.max(dim=-1)
        scores = best.sigmoid()
        boxes = scaled_boxes(center_to_corners_format(outputs.pred_boxes), target_sizes)
        return above(scores, labels, boxes, threshold)

    def post_process_image_guided_detection(
        self,
        outputs: Any,
        threshold: float = 0.0,
        nms_threshold: float = 0.3,
        target_sizes: Any = None,
    ) -> list[Found]:
        """What looks like the query picture: ``scores`` relative to the best, and ``boxes``."""
        check_targets(target_sizes, len(outputs.logits))
        scores = outputs.logits.max(dim=-1).values.sigmoid()
        corners = center_to_corners_format(outputs.target_pred_boxes)
        if nms_threshold < 1.0:
            kept = [_suppressed(s, b, nms_threshold) for s, b in zip(scores, corners, strict=True)]
            scores = torch.stack(kept)
        boxes = scaled_boxes(corners, target_sizes)
        return [_relative(s, b, threshold) for s, b in zip(scores, boxes, strict=True)]


def _suppressed(scores: Tensor, boxes: Tensor, threshold: float) -> Tensor:
    """The scores, 0 for every box that overlaps a better one by more than `threshold`."""
    scores = scores.clone()
    overlaps = intersection_over_union(boxes, boxes)[0].fill_diagonal_(-1.0)
    for box in scores.argsort(descending=True).tolist():
        if scores[box] > 0:
            scores[overlaps[box] > threshold] = 0.0
    return scores


def _relative(scores: Tensor, boxes: Tensor, threshold: float) -> Found:
    scores = torch.where(scores < threshold, 0.0, scores)
    best = scores.max() + 1e-6
    alphas = ((scores - 0.1 * best) / (0.9 * best)).clamp(0.0, 1.0)
    return {"scores": alphas[alphas > 0], "labels": None, "boxes": boxes[alphas > 0]}
