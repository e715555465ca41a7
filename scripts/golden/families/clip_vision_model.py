"""Golden cases of CLIP's image encoder."""

from __future__ import annotations

from cases import Family
from patch_cases import SIZES, body_calls

family = Family(
    "models-vision", "clip_vision_model", "CLIPVisionConfig", {**SIZES, "projection_dim": 24}
)
calls = body_calls(head_mask=False, interpolate_pos_encoding=True)
family.case("CLIPVisionModel", calls)
family.case("CLIPVisionModelWithProjection", calls)
