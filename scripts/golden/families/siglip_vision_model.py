"""Golden cases of SigLIP's image encoder."""

from __future__ import annotations

from cases import Family, call
from patch_cases import IMAGES, SIZES, body_calls

family = Family("models-vision", "siglip_vision_model", "SiglipVisionConfig", SIZES)
family.case("SiglipVisionModel", body_calls(head_mask=False, interpolate_pos_encoding=True))
family.case("SiglipVisionModel", [call("plain", IMAGES)], "unpooled", vision_use_head=False)
