"""Golden cases of BiT."""

from __future__ import annotations

from cases import Family, Inputs, call
from patch_cases import image_classification
from stage_cases import STATES, WIDE, backbones, bodies, trained

family = Family(
    package="models-vision",
    model_type="bit",
    config_class="BitConfig",
    sizes={"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1], "num_groups": 4},
)
VARIANTS: dict[str, Inputs] = {
    "bottleneck": {"layer_type": "bottleneck", "hidden_act": "silu"},
    "same": {"global_padding": "same", "embedding_dynamic_padding": True},
    "dilated": {"output_stride": 4, "hidden_sizes": [16, 32, 72, 16], "depths": [1, 2, 1, 2]},
    "more-dilated": {
        "output_stride": 8,
        "hidden_sizes": [8, 16, 16, 8],
        "depths": [1, 1, 2, 2],
        "layer_type": "bottleneck",
    },
}
bodies(family, "BitModel")
for variant, config in VARIANTS.items():
    family.case("BitModel", [call("wide", {**WIDE, **STATES})], variant, **config)
image_classification(family, "BitForImageClassification", STATES)
family.case("BitForImageClassification", [trained()], "training", num_labels=3)
backbones(family, "BitBackbone")
