"""Golden cases of DINOv2."""

from __future__ import annotations

from cases import EVERYTHING, Family, call
from patch_cases import HIDDEN, IMAGES, SIZES, WIDE, body_calls, image_classification

family = Family(
    "models-vision",
    "dinov2",
    "Dinov2Config",
    {name: size for name, size in SIZES.items() if name != "intermediate_size"},
)
hidden = call("hidden", {**IMAGES, "bool_masked_pos": HIDDEN, **EVERYTHING})

family.case("Dinov2Model", [*body_calls(), hidden])
family.case("Dinov2Model", [hidden], "gated", use_swiglu_ffn=True, layerscale_value=0.1)
image_classification(family, "Dinov2ForImageClassification")
MAPS = [call("plain", {**IMAGES, **EVERYTHING}), call("another-size", WIDE)]
family.case("Dinov2Backbone", MAPS)
family.case("Dinov2Backbone", MAPS, "every-stage", out_features=["stem", "stage1", "stage2"])
family.case(
    "Dinov2Backbone",
    MAPS,
    "tokens",
    out_indices=[1, 2],
    reshape_hidden_states=False,
    apply_layernorm=False,
)
