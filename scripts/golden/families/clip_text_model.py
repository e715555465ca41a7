"""Golden cases of CLIP's text encoder."""

from __future__ import annotations

from cases import Family
from tower_cases import TEXT_SIZES, text_calls

family = Family(
    "models-vision", "clip_text_model", "CLIPTextConfig", {**TEXT_SIZES, "projection_dim": 24}
)
family.case("CLIPTextModel", text_calls())
family.case("CLIPTextModelWithProjection", text_calls())
