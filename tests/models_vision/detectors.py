"""What the tests of detectors share: a tiny backbone, pictures, objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance

STAGES = ["stage1", "stage2", "stage3", "stage4"]


def resnet(*stages: str) -> dict[str, Any]:
    """The config of a tiny backbone that returns `stages`."""
    return {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 12, 16, 24],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": list(stages),
    }


OWN_BACKBONE: dict[str, Any] = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
}


def objects(masks: bool = False) -> list[dict[str, Tensor]]:
    """Labels of two pictures, two objects in one and one in the other."""
    boxes = [[[0.5, 0.4, 0.25, 0.5], [0.2, 0.7, 0.3, 0.2]], [[0.35, 0.6, 0.5, 0.25]]]
    labels = []
    for index, (rows, classes) in enumerate(zip(boxes, ([1, 0], [0]), strict=True)):
        label = {"class_labels": torch.tensor(classes), "boxes": torch.tensor(rows)}
        if masks:
            drawn = seeded.integers(f"masks.{index}", (len(rows), 32, 32), 0, 2)
            label["masks"] = torch.from_numpy(drawn)
        labels.append(label)
    return labels


class DetectorConformance(VisionConformance):
    """The battery for detectors."""

    def pixels(self, config: Any, batch: int = 2) -> Tensor:
        """Pictures of which the last map has several places."""
        return torch.from_numpy(seeded.noise("pixels", (batch, 3, 64, 64)))

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        name = model_class.__name__
        if not name.endswith(("ForObjectDetection", "ForSegmentation")):
            return {}
        rows = len(inputs["pixel_values"]) if inputs else 2
        return {"labels": objects(masks=name.endswith("ForSegmentation"))[:rows]}


class DeformableConformance(DetectorConformance):
    """The battery for detectors whose queries look at points."""

    def build(self, model_class: Any, **changes: Any) -> Any:
        """A model whose points do not jump over a whole map when a state changes a little."""
        model = super().build(model_class, **changes)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith("sampling_offsets.weight"):
                    weight.mul_(0.02)
        return model
