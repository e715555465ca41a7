"""Golden cases of SigLIP."""

from __future__ import annotations

from cases import Family, call
from patch_cases import IMAGES, image_classification
from tower_cases import BOTH, PADDED, WIDTH, pair_calls

HALVES = {
    "text_config": {**BOTH["text_config"], "num_attention_heads": 4},
    "vision_config": {**BOTH["vision_config"], "hidden_size": WIDTH},
}
RECIPES = {"logit_scale": (1.0, 0.3), "logit_bias": (-0.5, 0.2)}

family = Family("models-vision", "siglip", "SiglipConfig", HALVES, RECIPES)
family.case("SiglipModel", pair_calls())
exact = {**HALVES["text_config"], "hidden_act": "gelu", "layer_norm_eps": 1e-3}
family.case(
    "SiglipModel", [call("plain", {**PADDED, **IMAGES})], "exact-activation", text_config=exact
)
image_classification(
    family, "SiglipForImageClassification", unlabelled=False, interpolate_pos_encoding=True
)
