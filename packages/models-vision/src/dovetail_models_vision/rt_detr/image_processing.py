"""RT-DETR's pictures, squares of 640 pixels that are not normalized, and its detections."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dovetail_models_vision.deformable_detr.image_processing import best_pairs
from dovetail_models_vision.detr.image_processing import DetectionImageProcessor
from dovetail_models_vision.images.boxes import center_to_corners_format
from dovetail_models_vision.images.detections import above, scaled_boxes
from dovetail_models_vision.images.segments import check_targets


class RTDetrImageProcessor(DetectionImageProcessor):
    """Nothing is padded: all pictures are squares of one size."""

    size = {"height": 640, "width": 640}
    do_normalize = False
    do_convert_annotations = True
    do_pad = False

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("do_convert_annotations", True)  # normalization does not decide it here
        super().__init__(**kwargs)

    def post_process_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.5,
        target_sizes: Any = None,
        use_focal_loss: bool = True,
    ) -> list[dict[str, Tensor]]:
        """``scores`` and ``labels`` (N,) and ``boxes`` (N, 4) by corners of each image, those above
        `threshold`; boxes are in pixels with `target_sizes`. Without `use_focal_loss` the last
        class means "nothing"."""
        logits, boxes = outputs.logits, outputs.pred_boxes
        check_targets(target_sizes, len(logits))
        if use_focal_loss:
            scores, labels, corners = best_pairs(logits, boxes, logits.shape[1])
        else:
            scores, labels = logits.softmax(-1)[..., :-1].max(-1)
            corners = center_to_corners_format(boxes)
        return above(scores, labels, scaled_boxes(corners, target_sizes), threshold)
