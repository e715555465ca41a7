"""Golden cases of Deformable DETR."""

from __future__ import annotations

from cases import Family
from detection_cases import body_calls, detection_calls, resnet

family = Family(
    package="models-vision",
    model_type="deformable_detr",
    config_class="DeformableDetrConfig",
    sizes={
        "use_timm_backbone": False,
        "use_pretrained_backbone": False,
        "backbone": None,
        "backbone_config": resnet(out_features=["stage2", "stage3", "stage4"]),
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 37,
        "decoder_ffn_dim": 41,
        "num_queries": 6,
        "encoder_n_points": 3,
        "decoder_n_points": 2,
        "disable_custom_kernels": True,
    },
)
family.recipes[r"sampling_offsets\.weight"] = (0.0, 0.005)
family.recipes[r"bbox_embed\.\d\.layers\.2\.weight"] = (0.0, 0.02)
family.recipes[r"class_embed\.\d\.weight"] = (0.0, 0.05)
family.recipes[r"value_proj\.weight"] = (0.0, 0.05)
family.case("DeformableDetrModel", body_calls())
family.case("DeformableDetrModel", body_calls()[1:], "learned", position_embedding_type="learned")
family.case(
    "DeformableDetrModel", body_calls()[:1], "one-level", num_feature_levels=1,
    backbone_config=resnet(),
)  # fmt: skip
# A map of one place, which norms turn into zeros and noise, has no gradients to compare.
family.sizes["num_feature_levels"] = 3
family.case("DeformableDetrForObjectDetection", detection_calls())
family.case(
    "DeformableDetrForObjectDetection", detection_calls(), "refined", with_box_refine=True,
    auxiliary_loss=True, num_labels=4, focal_alpha=0.4,
)  # fmt: skip
family.case(
    "DeformableDetrForObjectDetection",
    detection_calls(),
    "two-stages",
    backbone_config=resnet(out_features=["stage2", "stage3"]),
    num_feature_levels=2,
    auxiliary_loss=True,
    encoder_layers=1,
    decoder_layers=2,
    two_stage=True,
    with_box_refine=True,
    two_stage_num_proposals=5,
)
