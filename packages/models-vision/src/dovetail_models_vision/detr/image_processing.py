"""DETR's pictures, of any aspect in one batch, their annotations, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail.logging import get_logger
from dovetail_models_vision.images.annotations import (
    AnnotationFormat,
    Target,
    detection_target,
    normalize_target,
    pad_target,
    panoptic_target,
    resize_target,
)
from dovetail_models_vision.images.boxes import center_to_corners_format
from dovetail_models_vision.images.detections import above, scaled_boxes
from dovetail_models_vision.images.formats import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    PILImageResampling,
    make_list_of_images,
)
from dovetail_models_vision.images.padding import PaddingImageProcessor, Size
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.images.segments import (
    check_targets,
    query_segments,
    run_lengths,
    semantic_maps,
)

logger = get_logger("dovetail.images")


class DetectionImageProcessor(PaddingImageProcessor):
    """Pictures and annotations of detectors.

    `format` is the annotations' (an `AnnotationFormat`). `do_convert_annotations` makes boxes
    centers and sizes in shares of the picture. `do_pad` pads to the largest picture, or to
    `pad_size`.
    """

    format = AnnotationFormat.COCO_DETECTION
    do_resize = True
    size = {"shortest_edge": 800, "longest_edge": 1333}
    resample = PILImageResampling.BILINEAR
    do_convert_annotations = True
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_pad = True
    pad_size: Mapping[str, int] | None = None

    def __init__(self, **kwargs: Any) -> None:
        if "pad_and_return_pixel_mask" in kwargs:  # the name in old files
            kwargs.setdefault("do_pad", kwargs.pop("pad_and_return_pixel_mask"))
        longest = kwargs.pop("max_size", 1333)
        if isinstance(kwargs.get("size"), int):
            kwargs["size"] = {"shortest_edge": kwargs["size"], "longest_edge": longest}
        if kwargs.get("do_normalize") is False:
            kwargs.setdefault("do_convert_annotations", False)
        super().__init__(**kwargs)

    def _checked(self, name: str, value: Any) -> Any:
        if name != "format":
            return super()._checked(name, value)
        try:
            return AnnotationFormat(value)
        except ValueError:
            raise ProcessorError(
                f"{type(self).__name__}: format={value!r}: use 'coco_detection' or 'coco_panoptic'."
            ) from None

    def output_size(self, size: Size, settings: Settings) -> Size:
        """(height, width); where the longer edge would exceed its limit, the shorter is rounded
        first and the longer follows from the unrounded one."""
        wanted = settings.size
        if "shortest_edge" not in wanted:
            return super().output_size(size, settings)
        edge, exact_edge = wanted["shortest_edge"], float(wanted["shortest_edge"])
        longest, (low, high) = wanted.get("longest_edge"), sorted(size)
        if longest is not None and high / low * edge > longest:
            exact_edge = longest * low / high
            edge = round(exact_edge)
        if low == edge:
            return size
        height, width = size
        if width < height:
            return max(int(exact_edge * height / width), 1), edge
        return edge, max(int(exact_edge * width / height), 1)

    def preprocess(  # type: ignore[override]
        self,
        images: Any,
        annotations: Any = None,
        return_segmentation_masks: bool | None = None,
        masks_path: str | Path | None = None,
        *,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, C, H, W), with padding ``pixel_mask`` (B, H, W), and with
        `annotations` (COCO's, one mapping for each image) ``labels``: a list of targets.

        Raises:
            ProcessorError: images and annotations differ in number, or an annotation cannot be.
        """
        settings = self.settings(overrides)
        pictures = make_list_of_images(images)
        arrays = [self.read(p, input_data_format, index) for index, p in enumerate(pictures)]
        sized = [self.sized(array, settings) for array in arrays]
        old, new = ([tuple(i.shape[1:]) for i in group] for group in (arrays, sized))
        pixels = self.finished(sized, settings)
        data = (
            self.padded(pixels, settings.pad_size) if settings.do_pad else {"pixel_values": pixels}
        )
        result = self.output(data, return_tensors, data_format)
        if annotations is not None:
            listed = [annotations] if isinstance(annotations, Mapping) else list(annotations)
            masks = return_segmentation_masks, masks_path
            targets = self.targets(listed, old, settings, *masks)
            padded = tuple(data["pixel_mask"].shape[1:]) if settings.do_pad else None
            moved = [
                self.moved(target, before, after, padded, settings)
                for target, before, after in zip(targets, old, new, strict=True)
            ]
            result["labels"] = [BatchFeature(t, tensor_type=return_tensors) for t in moved]
        return result

    def targets(
        self,
        annotations: Sequence[Any],
        sizes: Sequence[Size],
        settings: Settings,
        masks: bool | None = None,
        masks_path: str | Path | None = None,
    ) -> list[Target]:
        """Annotations as targets, for images of their original sizes."""
        if len(annotations) != len(sizes):
            raise ProcessorError(
                f"annotations: {len(annotations)} for {len(sizes)} images. Pass one for each."
            )
        named = [
            (f"annotations[{i}]", *pair)
            for i, pair in enumerate(zip(annotations, sizes, strict=True))
        ]
        if settings.format is AnnotationFormat.COCO_DETECTION:
            return [detection_target(a, size, bool(masks), where) for where, a, size in named]
        wanted = masks is not False
        return [panoptic_target(a, size, masks_path, wanted, where) for where, a, size in named]

    def moved(
        self, target: Target, old: Size, new: Size, padded: Size | None, settings: Settings
    ) -> Target:
        """A target after the resize and the padding of its picture."""
        if settings.do_resize:
            target = resize_target(target, old, new)
        if settings.do_convert_annotations:
            target = normalize_target(target, new)
        if padded is None:
            return target
        return pad_target(target, new, padded, boxes=settings.do_convert_annotations)


class DetrImageProcessor(DetectionImageProcessor):
    """DETR's."""

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.5, target_sizes: Any = None
    ) -> list[dict[str, Tensor]]:
        """``scores`` and ``labels`` (N,) and ``boxes`` (N, 4) by corners of each image, those above
        `threshold`; boxes are in pixels with `target_sizes`, one (height, width) for each image."""
        check_targets(target_sizes, len(outputs.logits))
        scores, labels = outputs.logits.softmax(-1)[..., :-1].max(-1)
        boxes = scaled_boxes(center_to_corners_format(outputs.pred_boxes), target_sizes)
        return above(scores, labels, boxes, threshold)

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[Tensor]:
        """The class of each pixel, (H, W) for each image, at `target_sizes` if given."""
        classes = outputs.logits.softmax(dim=-1)[..., :-1]
        scores = torch.einsum("bqc,bqhw->bchw", classes, outputs.pred_masks.sigmoid())
        return semantic_maps(scores, target_sizes)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        target_sizes: Any = None,
        return_coco_annotation: bool | None = False,
    ) -> list[dict[str, Any]]:
        """``segmentation``, a map (H, W) of segments' numbers (-1 where nothing was found at all;
        run lengths with `return_coco_annotation`), and ``segments_info`` of each image."""
        found = self._segmented(
            outputs,
            threshold,
            target_sizes,
            mask_threshold=mask_threshold,
            overlap_threshold=overlap_mask_area_threshold,
        )
        if return_coco_annotation:
            for one in found:
                one["segmentation"] = run_lengths(one["segmentation"])
        return found

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        label_ids_to_fuse: Collection[int] | None = None,
        target_sizes: Any = None,
    ) -> list[dict[str, Any]]:
        """As for instances, with the segments of every class in `label_ids_to_fuse` as one."""
        return self._segmented(
            outputs,
            threshold,
            target_sizes,
            mask_threshold=mask_threshold,
            overlap_threshold=overlap_mask_area_threshold,
            fuse=label_ids_to_fuse or (),
        )

    def _segmented(
        self, outputs: Any, threshold: float, target_sizes: Any, **options: Any
    ) -> list[dict[str, Any]]:
        check_targets(target_sizes, len(outputs.logits))
        scores, labels = outputs.logits.softmax(dim=-1).max(-1)
        nothing = outputs.logits.shape[-1] - 1
        results = []
        for index, masks in enumerate(outputs.pred_masks.sigmoid()):
            size = None if target_sizes is None else [int(n) for n in target_sizes[index]]
            keep = (labels[index] != nothing) & (scores[index] > threshold)
            if keep.any():
                kept = masks[keep], scores[index][keep], labels[index][keep]
                numbers, segments = query_segments(*kept, size=size, **options)
            else:
                numbers, segments = masks.new_full(size or masks.shape[1:], -1), []
            results.append({"segmentation": numbers, "segments_info": segments})
        return results
