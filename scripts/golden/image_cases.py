"""What the golden cases of image processors see: pictures, annotations, settings, and how results
are recorded. It imports neither library."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

SAMPLES = 24
"""How many values of a tensor are kept."""


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth gradients with hard edges and noise, from whole numbers alone."""
    y, x, channel = np.ogrid[:height, :width, :3]
    noise = random.Random(seed)
    grain = np.frombuffer(noise.randbytes(height * width * 3), np.uint8).reshape(height, width, 3)
    smooth = (y * 5 + x * 3 + channel * 60 + seed * 40) % 256
    edges = ((y // 9 + x // 13) % 2) * 90
    return Image.fromarray(((smooth + edges + grain // 4) % 256).astype(np.uint8))


def detection_annotation(number: int) -> dict[str, Any]:
    """A box in the middle, one over the edge, and a crowd, which is left out."""
    boxes = [([5.5, 8, 20, 14.25], 3, 0), ([30, 2, 60, 12], 1, 0), ([1, 1, 4, 4], 2, 1)]
    rows = [
        {"bbox": box, "category_id": label, "iscrowd": crowd, "area": box[2] * box[3] - 1}
        for box, label, crowd in boxes
    ]
    return {"image_id": number, "annotations": rows}


PICTURES = {
    "wide": lambda: picture(48, 75),
    "tall": lambda: picture(90, 41, 1),
    "large": lambda: picture(300, 460, 2),
    "array": lambda: np.asarray(picture(37, 52, 3)).transpose(2, 0, 1).copy(),
    "fractions": lambda: np.asarray(picture(61, 40, 4)).astype(np.float32) / 256,
}
EACH = ("wide", "tall", "large", "array", "fractions")

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "ViTImageProcessor": [{}, {"do_normalize": False}, {"do_resize": False}]
    + [{"resample": number, "size": 50} for number in range(6)],
    "ConvNextImageProcessor": [{}, {"size": {"shortest_edge": 60}}],
    "BitImageProcessor": [{"size": {"shortest_edge": 40}, "crop_size": 48}],
    "CLIPImageProcessor": [{}, {"size": 90, "crop_size": {"height": 64, "width": 32}}],
    "SiglipImageProcessor": [{}],
    "BlipImageProcessor": [{}],
    "SegformerImageProcessor": [{"size": 64}],
    "DPTImageProcessor": [
        {"size": 96, "keep_aspect_ratio": True, "ensure_multiple_of": 32},
        {"size": 64, "do_pad": True, "size_divisor": 50},
    ],
    "ViltImageProcessor": [{}, {"size": {"shortest_edge": 70}}],
    "VideoMAEImageProcessor": [{"size": {"shortest_edge": 40}, "crop_size": 32}],
    "OwlViTImageProcessor": [{"size": {"height": 96, "width": 80}}],
    "LlavaNextImageProcessor": [
        {
            "size": {"shortest_edge": 32},
            "crop_size": 32,
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [96, 32]],
        },
    ],
    "LlavaNextVideoImageProcessor": [{"size": {"shortest_edge": 40}, "crop_size": 32}],
    "DetrImageProcessor": [
        {"size": {"shortest_edge": 100, "longest_edge": 150}},
        {"size": {"max_height": 60, "max_width": 50}},
        {
            "size": {"shortest_edge": 30, "longest_edge": 60},
            "pad_size": {"height": 70, "width": 64},
        },
    ],
    "Swin2SRImageProcessor": [{}, {"pad_size": 16}, {"do_pad": False}],
    "Mask2FormerImageProcessor": [
        {"size": {"shortest_edge": 50, "longest_edge": 90}},
        {"size": {"height": 50, "width": 60}, "size_divisor": 16},
    ],
    "DeformableDetrImageProcessor": [{"size": {"shortest_edge": 50, "longest_edge": 70}}],
    "MllamaImageProcessor": [
        {"size": {"height": 32, "width": 32}},
        {"size": {"height": 100, "width": 100}, "max_image_tiles": 3},
    ],
    "Qwen2VLImageProcessor": [{}, {"min_pixels": 5000, "max_pixels": 20000}],
    "RTDetrImageProcessor": [{"size": {"height": 64, "width": 64}}],
    "Idefics2ImageProcessor": [
        {"size": {"shortest_edge": 38, "longest_edge": 70}},
        {"size": {"shortest_edge": 20, "longest_edge": 50}, "do_image_splitting": True},
        {"size": {"height": 30, "width": 40}, "do_pad": False},
    ],
    "Idefics3ImageProcessor": [
        {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 24}},
        {"max_image_size": {"longest_edge": 40}, "do_image_splitting": False},
        {"max_image_size": {"longest_edge": 90}, "do_resize": False},
    ],
    "PixtralImageProcessor": [{}, {"size": {"longest_edge": 64}, "patch_size": 8}],
}
GROUPED = ("Idefics2ImageProcessor", "Idefics3ImageProcessor", "PixtralImageProcessor")
"""Processors that take a list of pictures for each text."""
ANNOTATED = ("DetrImageProcessor", "DeformableDetrImageProcessor", "RTDetrImageProcessor")


def cases() -> list[dict[str, Any]]:
    """Class, settings, names of pictures, and whether they are annotated."""
    listed = []
    for name, choices in SETTINGS.items():
        for settings in choices:
            common = {"class": name, "settings": settings}
            unread = name == "Idefics3ImageProcessor" or settings.get("resample") == 4
            pictures = [[one] for one in EACH if one != "array" or not unread]
            if name == "LlavaNextVideoImageProcessor":  # there, arrays are whole videos
                pictures = [["wide"], ["tall"], ["large", "large"]]
            if name in GROUPED and settings.get("do_pad", True):
                pictures += [["wide", "tall"], [["wide", "large"], ["tall"]]]
            if name in (*ANNOTATED, "LlavaNextImageProcessor", "ViltImageProcessor"):
                pictures.append(["wide", "tall"])
            listed += [{**common, "pictures": few, "annotated": False} for few in pictures]
            if name in ANNOTATED:
                for extra in ({}, {"do_convert_annotations": False}):
                    more = {"settings": {**settings, **extra}, "annotated": True}
                    listed.append({**common, **more, "pictures": ["wide", "tall"]})
    return listed


TARGETS = [(21, 30), (33, 16)]
SEGMENTS = {"threshold": 0.3, "overlap_mask_area_threshold": 0.2}
AFTER: list[tuple[str, str, dict[str, Any]]] = [
    ("DetrImageProcessor", "object_detection", {"threshold": 0.4}),
    ("DetrImageProcessor", "semantic_segmentation", {}),
    ("DetrImageProcessor", "instance_segmentation", SEGMENTS),
    ("DetrImageProcessor", "instance_segmentation", {**SEGMENTS, "return_coco_annotation": True}),
    ("DetrImageProcessor", "instance_segmentation", {"threshold": 0.999999}),
    ("DetrImageProcessor", "panoptic_segmentation", {**SEGMENTS, "label_ids_to_fuse": [1, 2, 3]}),
    ("DeformableDetrImageProcessor", "object_detection", {"threshold": 0.8, "top_k": 30}),
    ("RTDetrImageProcessor", "object_detection", {"threshold": 0.9}),
    ("OwlViTImageProcessor", "object_detection", {"threshold": 0.9}),
    ("OwlViTImageProcessor", "image_guided_detection", {"threshold": 0.1, "nms_threshold": 0.2}),
    ("SegformerImageProcessor", "semantic_segmentation", {}),
    ("DPTImageProcessor", "semantic_segmentation", {}),
    ("DPTImageProcessor", "depth_estimation", {}),
    ("Mask2FormerImageProcessor", "semantic_segmentation", {}),
    ("Mask2FormerImageProcessor", "instance_segmentation", {"threshold": 0.3}),
    ("Mask2FormerImageProcessor", "instance_segmentation", {"return_coco_annotation": True}),
    ("Mask2FormerImageProcessor", "instance_segmentation", {"return_binary_maps": True}),
    ("Mask2FormerImageProcessor", "instance_segmentation", {"threshold": 0.999999}),
    (
        "Mask2FormerImageProcessor",
        "panoptic_segmentation",
        {**SEGMENTS, "label_ids_to_fuse": [1, 3]},
    ),
    ("Mask2FormerImageProcessor", "panoptic_segmentation", {"threshold": 0.999999}),
]
"""Class, method (after ``post_process_``) and arguments."""


def after() -> list[dict[str, Any]]:
    """`AFTER` with and without the pictures' sizes."""
    return [
        {"class": name, "method": method, "arguments": arguments, "sized": sized}
        for name, method, arguments in AFTER
        for sized in (False, True)
    ]


def outputs(case: dict[str, Any]) -> SimpleNamespace:
    """What a model might have put out for two pictures with 12 queries and 5 classes."""
    noise = random.Random(7)

    def drawn(*shape: int, spread: float = 3.0) -> torch.Tensor:
        numbers = [noise.gauss(0.0, spread) for _ in range(int(np.prod(shape)))]
        return torch.tensor(numbers).reshape(shape)

    made = SimpleNamespace(logits=drawn(2, 12, 6), pred_boxes=drawn(2, 12, 4).sigmoid())
    made.target_pred_boxes = drawn(2, 12, 4).sigmoid()
    made.pred_masks = drawn(2, 12, 8, 9)
    made.predicted_depth = drawn(2, 8, 9)
    made.class_queries_logits, made.masks_queries_logits = made.logits, made.pred_masks
    if case["class"] in ("SegformerImageProcessor", "DPTImageProcessor"):
        made.logits = made.pred_masks
    return made


def call_after(processor: Any, case: dict[str, Any]) -> Any:
    """What a processor makes of the outputs."""
    sizes = torch.tensor(TARGETS) if "detection" in case["method"] else TARGETS
    arguments = {**case["arguments"], "target_sizes": sizes if case["sized"] else None}
    if "label_ids_to_fuse" in arguments:
        arguments["label_ids_to_fuse"] = set(arguments["label_ids_to_fuse"])
    return getattr(processor, f"post_process_{case['method']}")(outputs(case), **arguments)


def _pictures(names: Any) -> Any:
    return PICTURES[names]() if isinstance(names, str) else [_pictures(each) for each in names]


def call(processor: Any, case: dict[str, Any]) -> Any:
    """The processor's answer to a case."""
    images = _pictures(case["pictures"])
    if not case["annotated"]:
        return processor(images, return_tensors="np")
    annotations = [detection_annotation(number) for number, _ in enumerate(images)]
    return processor(images=images, annotations=annotations, return_tensors="np")


def record(value: Any) -> Any:
    """A result in brief: arrays as shape, type, sum and some of their values."""
    if hasattr(value, "items"):
        return {name: record(one) for name, one in sorted(value.items())}
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, int | float | str):
        return round(value, 5) if isinstance(value, float) else value
    if isinstance(value, list):
        return [record(one) for one in value]
    flat = np.asarray(value).ravel()
    places = np.linspace(0, max(flat.size - 1, 0), SAMPLES).astype(int)
    kept = flat[places].astype(np.float64).round(6).tolist() if flat.size else []
    return {
        "shape": list(np.shape(value)),
        "dtype": str(flat.dtype),
        "mean": round(float(flat.astype(np.float64).mean()), 6) if flat.size else 0.0,
        "values": kept,
    }
