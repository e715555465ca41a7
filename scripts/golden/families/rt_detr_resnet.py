"""Golden cases of RT-DETR's ResNet."""

from __future__ import annotations

from cases import Family, Inputs, call, floats
from patch_cases import IMAGES
from stage_cases import STATES, backbones

family = Family(
    package="models-vision",
    model_type="rt_detr_resnet",
    config_class="RTDetrResNetConfig",
    sizes={"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1]},
    recipes={r"embedder.*convolution": (0.0, 0.15)},
)
ODD: Inputs = {"pixel_values": floats("odd", 2, 3, 36, 36)}
"""Stages halve an odd number of rows."""
VARIANTS: dict[str, Inputs] = {
    "basic": {"layer_type": "basic", "hidden_sizes": [8, 16]},
    "basic-early": {
        "layer_type": "basic",
        "hidden_sizes": [8, 8],
        "downsample_in_first_stage": True,
    },
    "bottleneck": {
        "downsample_in_bottleneck": True,
        "downsample_in_first_stage": True,
        "hidden_act": "silu",
    },
}
backbones(family, "RTDetrResNetBackbone")
for variant, config in VARIANTS.items():
    family.case("RTDetrResNetBackbone", [call("odd", {**ODD, **STATES})], variant, **config)
family.case(
    "RTDetrResNetBackbone", [call("training", {**IMAGES, **STATES}, training=True)], "training"
)
