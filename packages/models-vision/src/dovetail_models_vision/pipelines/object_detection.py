"""A picture to boxes around the things in it."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor

from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import PixelPipeline


class ObjectDetectionPipeline(PixelPipeline):
    """Things whose score is above `threshold` (default 0.5), as ``{"score", "label", "box":
    {"xmin", "ymin", "xmax", "ymax"}}`` in pixels of the picture."""

    def _sanitize_parameters(
        self, threshold: float | None = None, timeout: float | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return given(timeout=timeout), {}, given(threshold=threshold)

    def postprocess(self, model_outputs: Any, threshold: float = 0.5) -> list[dict[str, Any]]:
        """One record per box, in the order of the model's queries."""
        (found,) = self.image_processor.post_process_object_detection(
            model_outputs, threshold, model_outputs["target_size"]
        )
        names = self.model.config.id2label
        return [
            {"score": score, "label": names[label], "box": box_record(box)}
            for score, label, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), found["boxes"], strict=True
            )
        ]

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture with the boxes and their labels."""
        return drawing.with_boxes(self.read(inputs), result)


def box_record(box: Tensor) -> dict[str, int]:
    """A box (4,) in whole pixels, by the names of its sides."""
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), box.int().tolist(), strict=True))
