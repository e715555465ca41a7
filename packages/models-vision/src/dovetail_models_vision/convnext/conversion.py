"""ConvNeXt's original checkpoints: one pickled file, whose shapes say all sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles

STAGE = "convnext.encoder.stages.*"
LAYER = {
    "dwconv.*": "dwconv.*",
    "norm.*": "layernorm.*",
    "pwconv1.*": "pwconv1.*",
    "pwconv2.*": "pwconv2.*",
    "gamma": "layer_scale_parameter",
}
NAMES = {
    "downsample_layers.0.0.*": "convnext.embeddings.patch_embeddings.*",
    "downsample_layers.0.1.*": "convnext.embeddings.layernorm.*",
    "downsample_layers.*.*.*": f"{STAGE}.downsampling_layer.*.*",
    **{f"stages.*.*.{old}": f"{STAGE}.layers.*.{new}" for old, new in LAYER.items()},
    "norm.*": "convnext.layernorm.*",
    "head.*": "classifier.*",
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    _, channels, patch, _ = shapes["downsample_layers.0.0.weight"]
    stages = range(shapes.count("stages.*.0.dwconv.weight"))
    scaled = "stages.0.0.gamma" in shapes
    return {
        "num_channels": channels,
        "patch_size": patch,
        "num_stages": len(stages),
        "hidden_sizes": [shapes[f"stages.{n}.0.dwconv.weight"][0] for n in stages],
        "depths": [shapes.count(f"stages.{n}.*.dwconv.weight") for n in stages],
        "num_labels": shapes["head.weight"][0],
        **({} if scaled else {"layer_scale_init_value": 0.0}),
    }


FACEBOOK = Layout(
    architecture="ConvNextForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="convnext.pth", state=("model",)),
    steps=(Renames(NAMES),),
    infer=_infer,
    marks=("downsample_layers.0.0.weight", "stages.*.*.dwconv.weight", "head.weight"),
    strangers=("stages.*.*.grn.gamma",),  # ConvNeXt V2
)
