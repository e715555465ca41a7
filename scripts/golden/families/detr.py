"""Golden cases of DETR."""

from __future__ import annotations

from cases import Family, call
from detection_cases import PICTURES, body_calls, detection_calls, floats, objects, resnet

ALL = ["stage1", "stage2", "stage3", "stage4"]
family = Family(
    package="models-vision",
    model_type="detr",
    config_class="DetrConfig",
    sizes={
        "use_timm_backbone": False,
        "use_pretrained_backbone": False,
        "backbone": None,
        "backbone_config": resnet(),
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 37,
        "decoder_ffn_dim": 41,
        "num_queries": 6,
    },
)
family.recipes[r"mask_head\.adapter\d\.weight"] = (0.0, 0.01)
family.recipes[r"mask_head\.lay1\.bias"] = (0.0, 2.0)
family.recipes[r"bbox_attention\..*weight"] = (0.0, 0.3)
encoded = {"encoder_outputs": {"tuple": [floats("encoded", 2, 4, 32)]}}
family.case("DetrModel", [*body_calls(), call("encoded", {**PICTURES, **encoded})])
family.case(
    "DetrModel", body_calls(), "learned", position_embedding_type="learned", auxiliary_loss=True,
    activation_function="gelu",
)  # fmt: skip
family.case("DetrForObjectDetection", detection_calls())
family.case(
    "DetrForObjectDetection", detection_calls()[:1], "auxiliary", auxiliary_loss=True, num_labels=4,
    class_cost=2, bbox_cost=3, giou_cost=1, bbox_loss_coefficient=2, giou_loss_coefficient=3,
    eos_coefficient=0.3,
)  # fmt: skip
family.case(
    "DetrForSegmentation", detection_calls(masks=True), backbone_config=resnet(out_features=ALL),
    encoder_attention_heads=8, auxiliary_loss=True,
)  # fmt: skip
family.case(
    "DetrForSegmentation",
    [call("loss", {**PICTURES, "labels": objects(masks=True)}, gradients=True)],
    "weights",
    backbone_config=resnet(out_features=ALL),
    encoder_attention_heads=8,
    mask_loss_coefficient=3,
    dice_loss_coefficient=2,
)
