"""OmDet-Turbo's processor: pictures, the classes to look for, a task, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_vision.clip.processing import IMAGE_OPTIONS, TextImageProcessor
from dovetail_models_vision.detection.boxes import to_corners
from dovetail_models_vision.sam.mask_generation import suppress

TEXT_DEFAULTS: dict[str, Any] = {
    "add_special_tokens": True,
    "padding": "max_length",
    "truncation": True,
    "max_length": 77,
}


class OmDetTurboProcessor(TextImageProcessor):
    """A `DetrImageProcessor` and CLIP's tokenizer as one object."""

    image_processor_class: ClassVar[Any] = ("DetrImageProcessor", "AutoImageProcessor")
    tokenizer_class: ClassVar[Any] = "AutoTokenizer"

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        if image_processor is None or tokenizer is None:
            raise ProcessorError("OmDetTurboProcessor needs an image_processor and a tokenizer.")
        super().__init__(image_processor, tokenizer, **kwargs)

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        *,
        task: str | Sequence[str] | None = None,
        return_tensors: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Inputs of the model for `images`, the classes `text` (a list, or one for each image, or
        a text with commas) and the `task`, by default ``"Detect class, class."``."""
        if images is None or text is None:
            raise ProcessorError("OmDetTurboProcessor needs images and text, the classes.")
        groups = class_groups(text)
        tasks = [f"Detect {', '.join(group)}." for group in groups] if task is None else task
        tasks = [tasks] if isinstance(tasks, str) else list(tasks)
        if len(tasks) != len(groups):
            raise ProcessorError(f"task: {len(tasks)} for {len(groups)} groups of classes.")
        options = {name: kwargs.pop(name) for name in list(kwargs) if name in IMAGE_OPTIONS}
        pixels = self.image_processor(images, return_tensors=return_tensors, **options)
        if len(pixels["pixel_values"]) != len(groups):
            raise ProcessorError(
                f"text: {len(groups)} groups of classes for {len(pixels['pixel_values'])} images: "
                "give one for each."
            )
        texts = {**TEXT_DEFAULTS, **kwargs, "return_tensors": return_tensors}
        parts = {"tasks": tasks, "classes": [name for group in groups for name in group]}
        data: dict[str, Any] = {
            f"{kind}_{name}": value
            for kind, several in parts.items()
            for name, value in self.tokenizer(several, **texts).items()
        }
        data["classes_structure"] = torch.tensor([len(group) for group in groups])
        return BatchFeature({**data, **pixels})

    def post_process_grounded_object_detection(
        self,
        outputs: Any,
        classes: Sequence[Any],
        score_threshold: float = 0.3,
        nms_threshold: float = 0.5,
        target_sizes: Any = None,
        max_num_det: int | None = None,
    ) -> list[dict[str, Any]]:
        """``boxes`` (N, 4) by corners in pixels, ``scores`` (N,) and ``classes``, the names, of
        each image: those above `score_threshold` that no better one of their class overlaps by
        more than `nms_threshold`. `target_sizes` are (height, width) of the images."""
        groups = class_groups(classes)
        boxes, logits = outputs.decoder_coord_logits, outputs.decoder_class_logits
        if target_sizes is None:
            target_sizes = [self._default_size()] * len(boxes)
        for name, given in (("target_sizes", target_sizes), ("classes", groups)):
            if len(given) != len(boxes):
                raise ProcessorError(f"{name}: {len(given)} for {len(boxes)} images.")
        limits = score_threshold, nms_threshold, max_num_det
        rows = zip(boxes, logits.sigmoid(), groups, target_sizes, strict=True)
        return [found(*row, *limits) for row in rows]

    def _default_size(self) -> tuple[int, int]:
        size = self.image_processor.size
        height = size.get("height", size.get("shortest_edge"))
        return height, size.get("width", size.get("longest_edge"))


def class_groups(classes: Any) -> list[list[str]]:
    """`classes` as a list for each image."""
    if isinstance(classes, str):
        classes = classes.strip(" ").split(",")
    nested = bool(classes) and not isinstance(classes[0], str)
    groups = [list(group) for group in (classes if nested else [classes])]
    if not all(groups):
        raise ProcessorError(f"{classes!r} names no classes for some image.")
    return groups


def found(
    boxes: Tensor,
    scores: Tensor,
    names: Sequence[str],
    size: Sequence[int],
    threshold: float,
    overlap: float,
    most: int | None,
) -> dict[str, Any]:
    """What is found in one image, of boxes (Q, 4) and scores (Q, C)."""
    count = len(boxes) if most is None else most
    best, places = scores.flatten().topk(min(count, scores.numel()))
    labels = places % scores.shape[1]
    height, width = (int(edge) for edge in size)
    scale = boxes.new_tensor([width, height, width, height])
    corners = to_corners(boxes[places // scores.shape[1]]) * scale
    keep = (best > threshold) & (labels < len(names))
    best, labels, corners = best[keep], labels[keep], corners[keep]
    kept = suppress_by_class(corners, best, labels, overlap)
    limits = torch.stack((scale.new_zeros(4), scale))
    return {
        "boxes": corners[kept].clamp(limits[0], limits[1]),
        "scores": best[kept],
        "classes": [names[int(label)] for label in labels[kept]],
    }


def suppress_by_class(boxes: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> Tensor:
    """Indices of the boxes (N, 4) that non-maximum suppression among those of the same label keeps,
    by falling score."""
    kept = [labels.new_zeros(0)]
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        kept.append(own[suppress(boxes[own], scores[own], overlap)])
    every = torch.cat(kept)
    return every[scores[every].argsort(descending=True, stable=True)]
