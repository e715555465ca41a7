"""Golden cases of OWL-ViT's text encoder."""

from __future__ import annotations

from cases import Family
from tower_cases import TEXT_SIZES, text_calls

family = Family("models-vision", "owlvit_text_model", "OwlViTTextConfig", TEXT_SIZES)
family.case("OwlViTTextModel", text_calls()[:2])
