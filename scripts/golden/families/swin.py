"""Golden cases of Swin."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, ints, values
from patch_cases import IMAGES, image_classification
from stage_cases import backbones, bodies, trained

family = Family(
    package="models-vision",
    model_type="swin",
    config_class="SwinConfig",
    sizes={
        "image_size": 32,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [2, 1, 2],
        "num_heads": [2, 2, 4],
        "window_size": 3,
        "encoder_stride": 8,
        "drop_path_rate": 0.0,
    },
    recipes={r"relative_position_bias_table": (0.0, 0.5)},
)
HIDDEN = {"bool_masked_pos": ints([[0, 1, 1, 0] * 64, [1, 0, 0, 0] * 64])}
HEADS = values([[1.0, 0.5], [0.0, 1.0], [1.0, 0.0]])

bodies(family, "SwinModel", attentions=True)
family.case(
    "SwinModel",
    [
        call("plain", {**IMAGES, **EVERYTHING}),
        call("hidden", {**IMAGES, **HIDDEN}),
        call("odd", {"pixel_values": floats("odd", 2, 3, 35, 37), **EVERYTHING}),
        call("head-mask", {**IMAGES, "head_mask": HEADS, **EVERYTHING}),
    ],
    "masked",
    arguments={"add_pooling_layer": False, "use_mask_token": True},
    qkv_bias=False,
    num_heads=[2, 2, 2],
    depths=[1, 1, 1],  # the reference fails to mask heads of deeper stages
    mlp_ratio=2.0,
    hidden_act="relu",
    layer_norm_eps=0.01,
)
# One window holds the last stage, and is not shifted.
family.case(
    "SwinModel", [call("plain", {**IMAGES, **EVERYTHING})], "whole", window_size=4, patch_size=2
)
image_classification(family, "SwinForImageClassification")
family.case("SwinForImageClassification", [trained()], "training", num_labels=3)
family.case(
    "SwinForMaskedImageModeling",
    [
        call("loss", {**IMAGES, **HIDDEN, **EVERYTHING}, gradients=True),
        call("plain", IMAGES),
    ],
)
backbones(family, "SwinBackbone", attentions=True)
SMALL = {"pixel_values": floats("small", 2, 3, 14, 20), **EVERYTHING}
family.case(
    "SwinBackbone", [call("small", SMALL)], "small", out_features=["stage1", "stage2", "stage3"]
)
