"""Golden cases of SigLIP's text encoder."""

from __future__ import annotations

from cases import Family
from tower_cases import TEXT_SIZES, text_calls

family = Family("models-vision", "siglip_text_model", "SiglipTextConfig", TEXT_SIZES)
family.case("SiglipTextModel", text_calls())
