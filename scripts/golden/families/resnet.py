"""Golden cases of ResNet."""

from __future__ import annotations

from cases import Family, Inputs, call
from patch_cases import image_classification
from stage_cases import STATES, WIDE, backbones, bodies, trained

family = Family(
    package="models-vision",
    model_type="resnet",
    config_class="ResNetConfig",
    sizes={"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1]},
    recipes={r"embedder\.convolution": (0.0, 0.08)},
)
VARIANTS: dict[str, Inputs] = {
    "basic": {"layer_type": "basic", "hidden_sizes": [8, 16]},
    "early": {"downsample_in_first_stage": True, "hidden_act": "silu"},
    "bottleneck": {"downsample_in_bottleneck": True},
}
bodies(family, "ResNetModel")
for variant, config in VARIANTS.items():
    family.case("ResNetModel", [call("wide", {**WIDE, **STATES})], variant, **config)
image_classification(family, "ResNetForImageClassification", STATES)
family.case("ResNetForImageClassification", [trained()], "training", num_labels=3)
backbones(family, "ResNetBackbone")
