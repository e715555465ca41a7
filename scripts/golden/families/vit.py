"""Golden cases of ViT."""

from __future__ import annotations

from cases import EVERYTHING, Family, call
from patch_cases import HIDDEN, IMAGES, SIZES, body_calls, image_classification

family = Family("models-vision", "vit", "ViTConfig", SIZES)
RESAMPLED = {"interpolate_pos_encoding": True}

family.case("ViTModel", body_calls(**RESAMPLED))
family.case(
    "ViTModel",
    [call("plain", {**IMAGES, **EVERYTHING})],
    "unpooled",
    arguments={"add_pooling_layer": False},
    hidden_act="relu",
    qkv_bias=False,
    layer_norm_eps=1e-3,
)
family.case(
    "ViTModel",
    [call("hidden", {**IMAGES, "bool_masked_pos": HIDDEN, **EVERYTHING})],
    "mask-token",
    arguments={"use_mask_token": True},
)
image_classification(family, "ViTForImageClassification", **RESAMPLED)
family.case(
    "ViTForMaskedImageModeling",
    [
        call("loss", {**IMAGES, "bool_masked_pos": HIDDEN, **EVERYTHING}, gradients=True),
        call("plain", IMAGES),
    ],
    encoder_stride=8,
)
family.case("ViTForMaskedImageModeling", [call("plain", IMAGES)], "coarse", encoder_stride=4)
