"""Golden cases of OWL-ViT's image encoder."""

from __future__ import annotations

from cases import Family
from patch_cases import SIZES, body_calls

family = Family("models-vision", "owlvit_vision_model", "OwlViTVisionConfig", SIZES)
family.case("OwlViTVisionModel", body_calls(head_mask=False, interpolates=False))
