"""ResNet's checkpoints in timm and torchvision: one pickled file, whose shapes say all sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_vision.detr.conversion import resnet_names, resnet_sizes

BODY = resnet_names("", "resnet")
MEAN, COUNT = "running_mean", "num_batches_tracked"
COUNTS = {
    theirs.replace(MEAN, COUNT): ours.replace(MEAN, COUNT)
    for theirs, ours in BODY.items()
    if theirs.endswith(MEAN)
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    sizes = {name: size for name, size in resnet_sizes(shapes, "").items() if name != "model_type"}
    channels = shapes["conv1.weight"][1]
    return {**sizes, "num_channels": channels, "num_labels": shapes["fc.weight"][0]}


TIMM = Layout(
    architecture="ResNetForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="resnet.pth"),
    steps=(Renames({**BODY, **COUNTS, "fc.*": "classifier.1.*"}),),
    infer=_infer,
    marks=("conv1.weight", "bn1.running_mean", "layer4.0.conv2.weight", "fc.weight"),
)
