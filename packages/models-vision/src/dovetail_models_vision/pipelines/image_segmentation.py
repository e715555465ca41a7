"""A picture to masks of the things and surfaces in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import PixelPipeline

SUBTASKS = ("panoptic", "instance", "semantic")
"""The ways to cut a picture into segments, in the order in which they are tried."""


class ImageSegmentationPipeline(PixelPipeline):
    """The segments of a picture, as ``{"score", "label", "mask"}``; a mask is a PIL image of mode
    L, 255 where the segment is.

    `subtask` is ``"panoptic"`` (every pixel once: things and surfaces), ``"instance"`` (things) or
    ``"semantic"`` (one segment per label, without score); by default the first that the model has.
    `threshold` (0.9), `mask_threshold` (0.5) and `overlap_mask_area_threshold` (0.5) say what
    becomes a segment; the semantic ones do not use them.
    """

    def _sanitize_parameters(
        self,
        subtask: str | None = None,
        threshold: float | None = None,
        mask_threshold: float | None = None,
        overlap_mask_area_threshold: float | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if subtask is not None:
            self._check_subtask(subtask)
        postprocess = given(
            subtask=subtask,
            threshold=threshold,
            mask_threshold=mask_threshold,
            overlap_mask_area_threshold=overlap_mask_area_threshold,
        )
        return given(timeout=timeout), {}, postprocess

    @property
    def _subtasks(self) -> list[str]:
        """What the model's image processor can make of its outputs."""
        return [name for name in SUBTASKS if hasattr(self.image_processor, _method(name))]

    def _check_subtask(self, subtask: str) -> None:
        if subtask not in self._subtasks:
            raise PipelineError(
                f"subtask={subtask!r}: {type(self.model).__name__} with "
                f"{type(self.image_processor).__name__} does {' and '.join(self._subtasks)} "
                "segmentation."
            )

    def postprocess(
        self,
        model_outputs: Any,
        subtask: str | None = None,
        threshold: float = 0.9,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.5,
    ) -> list[dict[str, Any]]:
        """One record per segment."""
        kind = subtask or next(iter(self._subtasks), None)
        if kind is None:
            raise PipelineError(
                f"{type(self.image_processor).__name__} does not say how to make segments of a "
                "model's outputs: load the image processor of a segmentation model."
            )
        cut = getattr(self.image_processor, _method(kind))
        sizes = [tuple(size) for size in model_outputs["target_size"].tolist()]
        if kind == "semantic":
            return list(self._labelled(np.asarray(cut(model_outputs, target_sizes=sizes)[0])))
        (found,) = cut(
            model_outputs,
            threshold=threshold,
            mask_threshold=mask_threshold,
            overlap_mask_area_threshold=overlap_mask_area_threshold,
            target_sizes=sizes,
        )
        segmentation, names = np.asarray(found["segmentation"]), self.model.config.id2label
        return [
            {
                "score": segment["score"],
                "label": names[segment["label_id"]],
                "mask": _mask(segmentation == segment["id"]),
            }
            for segment in found["segments_info"]
        ]

    def _labelled(self, labels: np.ndarray) -> Iterator[dict[str, Any]]:
        """A segment for each label that stands in a map (height, width)."""
        for label in np.unique(labels).tolist():
            name = self.model.config.id2label[label]
            yield {"score": None, "label": name, "mask": _mask(labels == label)}

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture with its segments coloured."""
        return drawing.with_segments(self.read(inputs), result)


def _method(subtask: str) -> str:
    return f"post_process_{subtask}_segmentation"


def _mask(inside: np.ndarray) -> Image.Image:
    return Image.fromarray(inside.astype(np.uint8) * 255)
