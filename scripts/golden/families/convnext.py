"""Golden cases of ConvNeXt."""

from __future__ import annotations

from cases import Family, call
from patch_cases import image_classification
from stage_cases import STATES, WIDE, backbones, bodies, trained

family = Family(
    package="models-vision",
    model_type="convnext",
    config_class="ConvNextConfig",
    sizes={"hidden_sizes": [8, 16, 32], "depths": [1, 2, 1], "num_stages": 3, "image_size": 32},
    recipes={r"layer_scale_parameter": (0.5, 0.2), r"embeddings\.weight": (0.0, 0.1)},
)
bodies(family, "ConvNextModel")
family.case(
    "ConvNextModel",
    [call("wide", {**WIDE, **STATES})],
    "unscaled",
    layer_scale_init_value=0.0,
    hidden_act="relu",
    layer_norm_eps=0.01,
)
image_classification(family, "ConvNextForImageClassification", STATES)
family.case("ConvNextForImageClassification", [trained()], "training", num_labels=3)
backbones(family, "ConvNextBackbone")
