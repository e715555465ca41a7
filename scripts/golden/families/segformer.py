"""Golden cases of SegFormer."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, ints
from patch_cases import IMAGES, image_classification
from stage_cases import WIDE, bodies, trained

family = Family(
    package="models-vision",
    model_type="segformer",
    config_class="SegformerConfig",
    sizes={
        "num_encoder_blocks": 3,
        "depths": [1, 2, 1],
        "sr_ratios": [4, 2, 1],
        "hidden_sizes": [8, 16, 24],
        "patch_sizes": [7, 3, 3],
        "strides": [4, 2, 2],
        "num_attention_heads": [1, 2, 4],
        "mlp_ratios": [2, 3, 2],
        "decoder_hidden_size": 12,
        "drop_path_rate": 0.0,
        "classifier_dropout_prob": 0.0,
    },
)
SURFACES = ints([[[(i * j + i) % 5 - 1 for j in range(32)] for i in range(32)] for _ in range(2)])
YES_OR_NO = ints([[[(i + j) % 3 for j in range(20)] for i in range(20)] for _ in range(2)])
LOSS = {**IMAGES, "labels": SURFACES}

bodies(family, "SegformerModel", attentions=True)
PLAIN = [call("plain", {**IMAGES, **EVERYTHING})]
family.case("SegformerModel", PLAIN, "flat", reshape_last_stage=False, layer_norm_eps=0.1)
image_classification(family, "SegformerForImageClassification", unlabelled=False)
family.case(
    "SegformerForImageClassification", PLAIN, "flat", reshape_last_stage=False, hidden_act="relu"
)
family.case(
    "SegformerForSemanticSegmentation",
    [
        call("loss", {**LOSS, **EVERYTHING}, gradients=True),
        trained(LOSS),
        call("wide", {**WIDE, **EVERYTHING}),
        call("plain", {"pixel_values": floats("odd", 1, 3, 35, 61)}),
    ],
    num_labels=5,
    semantic_loss_ignore_index=-1,
)
family.case(
    "SegformerForSemanticSegmentation",
    [call("loss", {**IMAGES, "labels": YES_OR_NO}, gradients=True)],
    "one-label",
    num_labels=1,
    semantic_loss_ignore_index=2,
)
