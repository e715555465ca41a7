"""COCO's annotations of detection and panoptic segmentation as a detector's targets.

Targets hold ``class_labels`` (N,), ``boxes`` (N, 4), ``area`` and ``iscrowd`` (N,), ``image_id``
(1,), ``orig_size`` and ``size`` (2,) as (height, width), and on demand ``masks`` (N, H, W) and
``keypoints`` (N, K, 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.paths import safe_join
from dovetail.tokenizers.strategies import ExplicitEnum
from dovetail_models_vision.images import exact
from dovetail_models_vision.images.boxes import corners_to_center_format, masks_to_boxes, rgb_to_id
from dovetail_models_vision.images.coco_masks import segmentation_to_mask
from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.loading import load_image

Target = dict[str, Any]
Size = tuple[int, int]


class AnnotationFormat(ExplicitEnum):
    """What annotations describe."""

    COCO_DETECTION = "coco_detection"
    COCO_PANOPTIC = "coco_panoptic"


def is_valid_annotation_coco_detection(annotation: Any) -> bool:
    """Whether it is a mapping with ``image_id`` and ``annotations``."""
    return _has(annotation, ("image_id", "annotations"), "annotations")


def is_valid_annotation_coco_panoptic(annotation: Any) -> bool:
    """Whether it is a mapping with ``image_id``, ``segments_info`` and ``file_name``."""
    return _has(annotation, ("image_id", "segments_info", "file_name"), "segments_info")


def _has(annotation: Any, keys: Sequence[str], rows: str) -> bool:
    if not isinstance(annotation, Mapping) or not all(key in annotation for key in keys):
        return False
    listed = annotation[rows]
    return isinstance(listed, list | tuple) and all(isinstance(row, Mapping) for row in listed)


def valid_coco_detection_annotations(annotations: Iterable[Any]) -> bool:
    """Whether all are."""
    return all(is_valid_annotation_coco_detection(one) for one in annotations)


def valid_coco_panoptic_annotations(annotations: Iterable[Any]) -> bool:
    """Whether all are."""
    return all(is_valid_annotation_coco_panoptic(one) for one in annotations)


def detection_target(
    annotation: Mapping[str, Any], size: Size, masks: bool = False, where: str = "annotations"
) -> Target:
    """A target of COCO's detection format for an image of (height, width).

    Crowds are left out; boxes are cut at the image's edges, and what is left without area is
    dropped.

    Raises:
        ProcessorError: a row lacks a key, or a box lies outside the image; `where` names the
            annotation.
    """
    if not is_valid_annotation_coco_detection(annotation):
        raise ProcessorError(
            f"{where}: COCO's detection format has the keys 'image_id' and 'annotations'."
        )
    rows = [row for row in annotation["annotations"] if not row.get("iscrowd", 0)]
    for index, row in enumerate(rows):
        _check_row(row, size, f"{where}['annotations'][{index}]")
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, 0::2] = boxes[:, 0::2].clip(min=0, max=size[1])
    boxes[:, 1::2] = boxes[:, 1::2].clip(min=0, max=size[0])
    keep = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
    target = {
        "image_id": np.asarray([annotation["image_id"]], dtype=np.int64),
        "class_labels": np.asarray([row["category_id"] for row in rows], dtype=np.int64)[keep],
        "boxes": boxes[keep],
        "area": np.asarray([row["area"] for row in rows], dtype=np.float32)[keep],
        "iscrowd": np.asarray([row.get("iscrowd", 0) for row in rows], dtype=np.int64)[keep],
        "orig_size": np.asarray(size, dtype=np.int64),
    }
    if rows and "keypoints" in rows[0]:
        points = np.asarray([row["keypoints"] for row in rows], dtype=np.float32)[keep]
        target["keypoints"] = points.reshape(len(points), -1, 3)
    if masks:
        drawn = [segmentation_to_mask(row["segmentation"], size) for row in rows]
        target["masks"] = np.asarray(drawn, dtype=np.uint8).reshape(-1, *size)[keep]
    return target


def _check_row(row: Mapping[str, Any], size: Size, where: str) -> None:
    missing = [key for key in ("bbox", "category_id", "area") if key not in row]
    if missing:
        raise ProcessorError(f"{where} has no {' and no '.join(map(repr, missing))}.")
    box = np.asarray(row["bbox"], dtype=float)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise ProcessorError(
            f"{where}['bbox']={row['bbox']!r}: a box is [left, top, width, height]."
        )
    left, top, width, height = box
    if left >= size[1] or top >= size[0] or left + width < 0 or top + height < 0:
        raise ProcessorError(
            f"{where}['bbox']={row['bbox']!r} lies outside its image of {size[1]} x {size[0]} "
            "pixels. Do image and annotation belong together?"
        )


def panoptic_target(
    annotation: Mapping[str, Any],
    size: Size,
    masks_path: str | Path | None,
    masks: bool = True,
    where: str = "annotations",
) -> Target:
    """A target of COCO's panoptic format, whose segments are colors in a picture below
    `masks_path`.

    Raises:
        ProcessorError: a key is missing, or the picture is of another size.
    """
    if not is_valid_annotation_coco_panoptic(annotation) or masks_path is None:
        raise ProcessorError(
            f"{where}: COCO's panoptic format has the keys 'image_id', 'segments_info' and "
            "'file_name', and needs masks_path."
        )
    file = safe_join(Path(masks_path), annotation["file_name"], where=where, error=ProcessorError)
    ids = rgb_to_id(np.asarray(load_image(file)))
    if ids.shape != size:
        raise ProcessorError(f"{file} is of {ids.shape}, its image of {size} (height, width).")
    segments = annotation["segments_info"]
    found = (ids == np.array([s["id"] for s in segments]).reshape(-1, 1, 1)).astype(np.uint8)
    target = {
        "image_id": np.asarray([annotation["image_id"]], dtype=np.int64),
        "size": np.asarray(size, dtype=np.int64),
        "orig_size": np.asarray(size, dtype=np.int64),
        "boxes": masks_to_boxes(found),
        "class_labels": np.asarray([s["category_id"] for s in segments], dtype=np.int64),
        "iscrowd": np.asarray([s["iscrowd"] for s in segments], dtype=np.int64),
        "area": np.asarray([s["area"] for s in segments], dtype=np.float32),
    }
    return {**target, "masks": found} if masks else target


def resize_target(target: Target, old: Size, new: Size, threshold: float = 0.5) -> Target:
    """The target of an image that was resized from `old` to `new` (height, width)."""
    down, across = new[0] / old[0], new[1] / old[1]
    changed = {**target, "size": np.asarray(new, dtype=np.int64)}
    if "boxes" in target:
        scale = np.asarray([across, down, across, down], dtype=np.float32)
        changed["boxes"] = target["boxes"] * scale
    if "area" in target:
        changed["area"] = target["area"] * (across * down)
    if "masks" in target:
        nearest = PILImageResampling.NEAREST
        masks = [exact.resize(mask[None], new, nearest)[0] for mask in target["masks"]]
        changed["masks"] = np.asarray(masks).reshape(-1, *new) > threshold
    return changed


def normalize_target(target: Target, size: Size) -> Target:
    """The target with boxes by center, in shares of the image's width and height."""
    if "boxes" not in target:
        return dict(target)
    edges = np.asarray([size[1], size[0], size[1], size[0]], dtype=np.float32)
    return {**target, "boxes": corners_to_center_format(target["boxes"]) / edges}


def pad_target(target: Target, old: Size, new: Size, boxes: bool) -> Target:
    """The target of an image that was padded below and to the right; `boxes` are shares of it."""
    changed = {**target, "size": np.asarray(new, dtype=np.int64)}
    if "masks" in target:
        widths = ((0, 0), (0, new[0] - old[0]), (0, new[1] - old[1]))
        changed["masks"] = np.pad(target["masks"], widths)
    if boxes and "boxes" in target:
        shares = [old[1] / new[1], old[0] / new[0]] * 2
        changed["boxes"] = target["boxes"] * np.asarray(shares, dtype=np.float32)
    return changed
