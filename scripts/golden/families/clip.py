"""Golden cases of CLIP."""

from __future__ import annotations

from cases import Family
from patch_cases import image_classification
from tower_cases import BOTH, pair_calls

family = Family("models-vision", "clip", "CLIPConfig", {**BOTH, "projection_dim": 24})
family.case("CLIPModel", pair_calls())
first = {**BOTH["text_config"], "eos_token_id": 2, "hidden_act": "gelu"}
family.case("CLIPModel", pair_calls()[:1], "first", text_config=first, logit_scale_init_value=1.5)
image_classification(family, "CLIPForImageClassification", unlabelled=False)
