"""BiT's checkpoints in timm: one file; nothing in it says how many groups norms have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Reshape, Shapes, TorchFiles

NAMES = {
    "stem.conv.weight": "bit.embedder.convolution.weight",
    "stem.norm.*": "bit.embedder.norm.*",
    "stages.*.blocks.**": "bit.encoder.stages.*.layers.**",
    "norm.*": "bit.norm.*",
    "head.fc.*": "classifier.1.*",
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The config, from the shapes."""
    width, channels = shapes["stem.conv.weight"][:2]
    stages = [f"stages.{n}.blocks" for n in range(shapes.count("stages.*.blocks.0.conv3.weight"))]
    return {
        "num_channels": channels,
        "embedding_size": width,
        "hidden_sizes": [shapes[f"{stage}.0.conv3.weight"][0] for stage in stages],
        "depths": [shapes.count(f"{stage}.*.conv3.weight") for stage in stages],
        "layer_type": "bottleneck" if "stem.norm.weight" in shapes else "preactivation",
        "num_labels": shapes["head.fc.weight"][0],
    }


TIMM = Layout(
    architecture="BitForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="resnetv2_bit.pth"),
    steps=(
        # timm classifies by a convolution of 1x1
        Reshape("head.fc.weight", lambda _, shape: shape[:2], lambda _, shape: (*shape, 1, 1)),
        Renames(NAMES),
    ),
    infer=_infer,
    marks=("stem.conv.weight", "stages.*.blocks.*.conv3.weight", "head.fc.weight"),
)
