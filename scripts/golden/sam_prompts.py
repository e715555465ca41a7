"""What SAM's processors make of pictures, prompts and masks: ``tests/golden/sam/prompts.json``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from cases import ROOT, seeded
from record import dump, encode, rounded
from torch.nn import functional as F
from transformers import SamImageProcessor, SamProcessor

SIZES = {"size": {"longest_edge": 64}, "pad_size": {"height": 64, "width": 64}}
MASK_SIZES = {"mask_size": {"longest_edge": 16}, "mask_pad_size": {"height": 16, "width": 16}}
CALLS: dict[str, dict[str, Any]] = {
    "point": {"input_points": [[[10, 20]]]},
    "labelled": {"input_points": [[[10, 20], [3, 4]]], "input_labels": [[1, 0]]},
    "prompts": {
        "input_points": [[[[10, 20], [3, 4]], [[1, 2], [3, 4]]]],
        "input_labels": [[[1, 0], [1, 1]]],
    },
    "ragged": {
        "images": 2,
        "input_points": [[[10, 20], [3, 4]], [[1, 2]]],
        "input_labels": [[1, 0], [1]],
    },
    "boxes": {"images": 2, "input_boxes": [[[1, 2, 30, 20]], [[3.5, 3, 5, 5]]]},
    "several-boxes": {"input_boxes": [[[1, 2, 30, 20], [3, 3, 5, 5]]]},
    "maps": {"segmentation_maps": seeded.integers("map", (40, 60), 0, 4).tolist()},
    "not-padded": {"do_pad": False, "do_normalize": False},
}
CROPS: list[dict[str, Any]] = [
    {"target_size": 64, "points_per_crop": 3},
    {"target_size": 64, "points_per_crop": 2, "crop_n_layers": 2, "overlap_ratio": 0.2},
]
FILTERS: list[dict[str, Any]] = [
    {"pred_iou_thresh": 0.4, "stability_score_thresh": 0.5},
    {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "mask_threshold": 0.5},
    {"crop": [0, 0, 60, 40], "pred_iou_thresh": 0.1, "stability_score_thresh": 0.8},
]


def picture(index: int) -> np.ndarray:
    """Noise of 40 by 60, or of 50 by 30 pixels."""
    shape = ((40, 60, 3), (50, 30, 3))[index]
    return seeded.integers(f"picture-{index}", shape, 0, 256).astype(np.uint8)


def masks(height: int, width: int) -> torch.Tensor:
    """Logits (3, 2, height, width) with some structure."""
    coarse = torch.from_numpy(seeded.noise("masks", (3, 2, 4, 6), 0.0, 8.0))
    return F.interpolate(coarse, (height, width), mode="bilinear")


def produce() -> None:
    """Write the file."""
    images = SamImageProcessor(**SIZES, **MASK_SIZES)
    processor = SamProcessor(images)
    content: dict[str, Any] = {"sizes": SIZES | MASK_SIZES, "calls": {}, "crops": [], "filters": []}
    for name, given in CALLS.items():
        inputs = dict(given)
        pictures = [picture(index) for index in range(inputs.pop("images", 1))]
        if "segmentation_maps" in inputs:
            inputs["segmentation_maps"] = np.array(inputs["segmentation_maps"], np.uint8)
        output = processor(pictures, return_tensors="pt", **inputs)
        recorded = {key: encode(value, key) for key, value in output.items()}
        content["calls"][name] = {"inputs": given, "outputs": recorded}
    for given in CROPS:
        boxes, points, crops, labels = images.generate_crop_boxes(picture(0), **given)
        outputs = [boxes.tolist(), points.tolist(), [list(c.shape) for c in crops], labels.tolist()]
        content["crops"].append({"inputs": given, "outputs": outputs})
    scores = torch.from_numpy(seeded.noise("scores", (3, 2), 0.5, 0.3))
    for given in FILTERS:
        inputs = dict(given)
        crop = inputs.pop("crop", [10, 5, 50, 35])
        logits = masks(crop[3] - crop[1], crop[2] - crop[0])
        found, kept, boxes = images.filter_masks(logits, scores, (40, 60), crop, **inputs)
        outputs = [found, kept.tolist(), boxes.tolist()]
        content["filters"].append({"inputs": given, "outputs": outputs})
    small = masks(16, 16)
    full = images.post_process_masks([small], [(40, 60)], [(43, 64)], binarize=False)[0]
    content["masks"] = encode(full, "masks")
    path = ROOT / "tests" / "golden" / "sam" / "prompts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(rounded(json.loads(json.dumps(content, default=int)))) + "\n")
