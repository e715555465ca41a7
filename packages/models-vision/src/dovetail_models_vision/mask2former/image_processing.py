"""Mask2Former's pictures and maps of segments, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images import fast
from dovetail_models_vision.images.formats import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    PILImageResampling,
    make_list_of_images,
    to_numpy_array,
)
from dovetail_models_vision.images.padding import PaddingImageProcessor, Size
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.images.segments import (
    check_targets,
    query_segments,
    run_lengths,
    semantic_maps,
)

Names = Mapping[int, int] | Sequence[Mapping[int, int]] | None
"""The class of each segment of a map by its number, for all pictures or for each."""
DRAWN = (384, 384)
"""Masks are read at this size before they take that of the picture."""


class Mask2FormerImageProcessor(PaddingImageProcessor):
    """Edges are rounded up to multiples of `size_divisor`. In maps of segments `ignore_index` is no
    segment; `do_reduce_labels` takes 1 off every number, 0 becomes `ignore_index`."""

    size = {"shortest_edge": 800, "longest_edge": 1333}
    size_divisor = 32
    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    ignore_index: int | None = None
    do_reduce_labels = False
    num_labels: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        for old, name in (
            ("reduce_labels", "do_reduce_labels"),
            ("size_divisibility", "size_divisor"),
        ):
            if old in kwargs:  # names in old files
                kwargs.setdefault(name, kwargs.pop(old))
        longest = kwargs.pop("max_size", 1333)
        if isinstance(kwargs.get("size"), int):
            kwargs["size"] = {"shortest_edge": kwargs["size"], "longest_edge": longest}
        super().__init__(**kwargs)

    def _needs(self) -> list[tuple[str, str]]:
        return [*super()._needs(), ("do_reduce_labels", "ignore_index")]

    def output_size(self, size: Size, settings: Settings) -> Size:
        """(height, width), rounded up."""
        divisor = settings.size_divisor or 1
        height, width = super().output_size(size, settings)
        return -(-height // divisor) * divisor, -(-width // divisor) * divisor

    def preprocess(  # type: ignore[override]
        self,
        images: Any,
        segmentation_maps: Any = None,
        instance_id_to_semantic_id: Names = None,
        *,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, C, H, W) and ``pixel_mask`` (B, H, W); with `segmentation_maps`
        (one (height, width) of segments' numbers for each picture) also ``mask_labels`` (N, H, W)
        and ``class_labels`` (N,), a tensor for each picture. A segment's number is its class unless
        `instance_id_to_semantic_id` says another.

        Raises:
            ProcessorError: pictures and maps differ in number or size, or a segment has no class.
        """
        settings = self.settings(overrides)
        pictures = make_list_of_images(images)
        arrays = [self.read(p, input_data_format, index) for index, p in enumerate(pictures)]
        sized = [self.sized(array, settings) for array in arrays]
        data = self.padded(self.finished(sized, settings))
        result = self.output(data, return_tensors, data_format)
        if segmentation_maps is None:
            return result
        maps = make_list_of_images(segmentation_maps, expected_ndims=2)
        if len(maps) != len(pictures):
            raise ProcessorError(f"segmentation_maps: {len(maps)} maps for {len(pictures)} images.")
        padded = tuple(data["pixel_mask"].shape[1:])
        one = instance_id_to_semantic_id
        labels = []
        for index, (labelled, array) in enumerate(zip(maps, arrays, strict=True)):
            where = f"segmentation_maps[{index}]"
            classes = one if isinstance(one, Mapping) or one is None else one[index]
            numbers = self.sized_map(labelled, tuple(array.shape[1:]), settings, where)
            labels.append(self.segments(numbers, classes, settings, where))
        result["mask_labels"] = [
            F.pad(masks, (0, padded[1] - masks.shape[2], 0, padded[0] - masks.shape[1]))
            for masks, _ in labels
        ]
        result["class_labels"] = [classes for _, classes in labels]
        return result

    def sized_map(self, numbers: Any, size: Size, settings: Settings, where: str) -> Tensor:
        """A map of numbers (H, W) in the size that its picture, of `size`, gets."""
        array = to_numpy_array(numbers)
        if array.shape != size or not np.issubdtype(array.dtype, np.integer):
            raise ProcessorError(
                f"{where}: an array of shape {array.shape} and {array.dtype} for an image of "
                f"{size}; give (height, width) of whole numbers."
            )
        tensor = torch.from_numpy(array.astype(np.int64))
        if settings.do_reduce_labels:
            ignored = torch.tensor(settings.ignore_index)
            tensor = torch.where(tensor == 0, ignored, tensor - 1)
        if not settings.do_resize:
            return tensor
        return fast.nearest(tensor[None], self.output_size(size, settings))[0]

    def segments(
        self, numbers: Tensor, classes: Mapping[int, int] | None, settings: Settings, where: str
    ) -> tuple[Tensor, Tensor]:
        """Masks (N, H, W) and classes (N,) of the segments in a map (H, W)."""
        present = torch.unique(numbers)
        if settings.ignore_index is not None:
            present = present[present != settings.ignore_index]
        masks = (numbers == present[:, None, None]).float()
        if classes is None:
            return masks, present
        off = int(settings.do_reduce_labels)
        unknown = [number for number in (present + off).tolist() if number not in classes]
        if unknown:
            raise ProcessorError(
                f"{where}: instance_id_to_semantic_id lacks the segments {unknown}, and knows "
                f"{sorted(classes)}."
            )
        named = [classes[number] - off for number in (present + off).tolist()]
        return masks, torch.tensor(named, dtype=torch.long)

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[Tensor]:
        """The class of each pixel, (H, W) for each image, at `target_sizes` if given."""
        classes = outputs.class_queries_logits.softmax(-1)[..., :-1]
        masks = drawn(outputs.masks_queries_logits).sigmoid()
        return semantic_maps(torch.einsum("bqc,bqhw->bchw", classes, masks), target_sizes)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        target_sizes: Any = None,
        return_coco_annotation: bool | None = False,
        return_binary_maps: bool | None = False,
    ) -> list[dict[str, Any]]:
        """``segmentation``, a map (H, W) of things' numbers from 0 on and -1 where none is, and
        ``segments_info`` of each image; run lengths with `return_coco_annotation`, one mask for
        each thing with `return_binary_maps`. Things may overlap: thresholds of masks are not used.
        """
        if return_coco_annotation and return_binary_maps:
            raise ProcessorError(
                "return_coco_annotation and return_binary_maps cannot both be True: ask for one."
            )
        check_targets(target_sizes, len(outputs.class_queries_logits))
        results = []
        for index, masks in enumerate(drawn(outputs.masks_queries_logits)):
            size = (
                None
                if target_sizes is None
                else (int(target_sizes[index][0]), int(target_sizes[index][1]))
            )
            things = best_things(outputs.class_queries_logits[index], masks, threshold, size)
            numbers, infos = numbered(things, size or tuple(masks.shape[1:]))
            segmentation: Any = numbers
            if return_coco_annotation:
                segmentation = run_lengths(numbers)
            elif return_binary_maps and things:
                segmentation = torch.stack([mask for mask, _, _ in things])
            results.append({"segmentation": segmentation, "segments_info": infos})
        return results

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        threshold: float = 0.5,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        label_ids_to_fuse: Collection[int] | None = None,
        target_sizes: Any = None,
    ) -> list[dict[str, Any]]:
        """``segmentation``, a map (H, W) of segments' numbers (-1 where nothing was found at all),
        and ``segments_info`` of each image; those of a class in `label_ids_to_fuse` are one."""
        classes = outputs.class_queries_logits
        check_targets(target_sizes, len(classes))
        scores, labels = classes.softmax(-1).max(-1)
        results = []
        for index, masks in enumerate(drawn(outputs.masks_queries_logits).sigmoid()):
            size = None if target_sizes is None else [int(n) for n in target_sizes[index]]
            keep = (labels[index] != classes.shape[-1] - 1) & (scores[index] > threshold)
            numbers = masks.new_full(size or masks.shape[1:], -1)
            infos: list[dict[str, Any]] = []
            if keep.any():
                numbers, infos = query_segments(
                    masks[keep],
                    scores[index][keep],
                    labels[index][keep],
                    mask_threshold=mask_threshold,
                    overlap_threshold=overlap_mask_area_threshold,
                    fuse=label_ids_to_fuse or (),
                    size=size,
                )
            results.append({"segmentation": numbers, "segments_info": infos})
        return results


def drawn(masks: Tensor) -> Tensor:
    """Logits (B, Q, H, W) of masks at the size at which they are read."""
    return F.interpolate(masks, size=DRAWN, mode="bilinear", align_corners=False)


def best_things(
    classes: Tensor, logits: Tensor, threshold: float, size: tuple[int, int] | None
) -> list[tuple[Tensor, int, float]]:
    """Mask (H, W), class and score of the likeliest pairs of a query and a class, as many as there
    are queries, of `classes` (Q, labels + 1) and `logits` (Q, h, w)."""
    scores = classes.softmax(-1)[:, :-1]
    best, chosen = scores.flatten().topk(len(scores), sorted=False)
    queries, labels = chosen // scores.shape[1], chosen % scores.shape[1]
    logits = logits[queries]
    inside = (logits > 0).to(logits)
    sure = (logits.sigmoid() * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    if size is not None:
        inside = F.interpolate(inside[None], size=size, mode="nearest")[0]
    total = (best * sure).tolist()
    return [
        (mask, label, score)
        for mask, label, score in zip(inside, labels.tolist(), total, strict=True)
        if score >= threshold and mask.any()
    ]


def numbered(
    things: Sequence[tuple[Tensor, int, float]], size: tuple[int, ...]
) -> tuple[Tensor, list[dict[str, Any]]]:
    """A map (H, W) of the numbers of `things`, a later one over an earlier, and what they are."""
    numbers = torch.full(size, -1.0, device=things[0][0].device if things else None)
    infos: list[dict[str, Any]] = []
    for number, (mask, label, score) in enumerate(things):
        numbers[mask == 1] = number
        info = {"id": number, "label_id": label, "was_fused": False, "score": round(score, 6)}
        infos.append(info)
    return numbers, infos
