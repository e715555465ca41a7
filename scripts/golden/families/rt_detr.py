"""Golden cases of RT-DETR."""

from __future__ import annotations

import importlib
import math
from typing import Any

from cases import EVERYTHING, Family, Inputs, call, floats
from detection_cases import objects, resnet

SIZE = (64, 96)
PICTURES: Inputs = {"pixel_values": floats("pictures", 2, 3, *SIZE)}


def correct_mask() -> None:
    """The release adds its mask of booleans to the scores of attention as ones, so that queries
    see noised objects better and not worse. Let it add what it means."""
    module = importlib.import_module("transformers.models.rt_detr.modeling_rt_detr")
    original = module.get_contrastive_denoising_training_group

    def corrected(*args: Any, **kwargs: Any) -> Any:
        classes, boxes, mask, meta = original(*args, **kwargs)
        if mask is not None:
            mask = mask.float().masked_fill(mask, -math.inf)
        return classes, boxes, mask, meta

    module.get_contrastive_denoising_training_group = corrected


family = Family(
    package="models-vision",
    model_type="rt_detr",
    config_class="RTDetrConfig",
    prepare=correct_mask,
    sizes={
        "backbone_config": resnet(
            model_type="rt_detr_resnet", out_features=["stage2", "stage3", "stage4"]
        ),
        "encoder_in_channels": [12, 16, 24],
        "encoder_hidden_dim": 32,
        "encoder_ffn_dim": 37,
        "encoder_attention_heads": 4,
        "d_model": 32,
        "decoder_in_channels": [32, 32, 32],
        "decoder_layers": 4,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 41,
        "decoder_n_points": 2,
        "num_queries": 6,
        "num_denoising": 7,
        "num_labels": 3,
    },
)
family.recipes[r"sampling_offsets\.weight"] = (0.0, 0.005)
family.recipes[r"bbox_(embed\.\d|head)\.layers\.2\.weight"] = (0.0, 0.05)
family.recipes[r"value_proj\.weight"] = (0.0, 0.05)
family.recipes[r"class_embed\.\d\.weight"] = (0.0, 0.05)
LABELS = {**PICTURES, "labels": objects()}
loss = call("loss", LABELS, gradients=True)
family.case(
    "RTDetrModel",
    [call("plain", {**PICTURES, **EVERYTHING})],
)
family.case(
    "RTDetrModel", [call("plain", {**PICTURES, **EVERYTHING})], "other", normalize_before=True,
    anchor_image_size=list(SIZE), hidden_expansion=0.5,
    encode_proj_layers=[1, 2], positional_encoding_temperature=100, activation_function="relu",
    layer_norm_eps=1e-3, batch_norm_eps=1e-3, num_denoising=0,
)  # fmt: skip
family.case(
    "RTDetrForObjectDetection", [loss, call("training", LABELS, training=True, gradients=True)]
)
family.case(
    "RTDetrForObjectDetection", [loss], "weights",
    use_focal_loss=False, matcher_class_cost=3, matcher_bbox_cost=2,
    matcher_giou_cost=1, focal_loss_alpha=0.5, focal_loss_gamma=1.5, weight_loss_vfl=2,
    weight_loss_bbox=3, weight_loss_giou=4, freeze_backbone_batch_norms=False,
)  # fmt: skip
family.case(
    "RTDetrForObjectDetection", [loss], "matching", matcher_alpha=0.4, matcher_gamma=1.5,
    num_labels=5,
)  # fmt: skip
