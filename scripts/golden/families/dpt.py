"""Golden cases of DPT."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, ints
from patch_cases import IMAGES, SIZES, body_calls

family = Family(
    package="models-vision",
    model_type="dpt",
    config_class="DPTConfig",
    sizes={
        **SIZES,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "backbone_out_indices": [0, 1, 2, 3],
        "neck_hidden_sizes": [8, 8, 12, 12],
        "fusion_hidden_size": 8,
        "semantic_classifier_dropout": 0.0,
    },
)
HYBRID = {
    "is_hybrid": True,
    "patch_size": 16,
    "neck_hidden_sizes": [8, 16, 12, 12],
    "backbone_featmap_shape": [1, 24, 2, 2],
    "backbone_config": {
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 24],
        "depths": [1, 1, 1],
        "num_groups": 2,
        "layer_type": "bottleneck",
        "global_padding": "same",
        "embedding_dynamic_padding": True,
        "out_features": ["stage1", "stage2", "stage3"],
    },
}
DINO = {
    "model_type": "dinov2",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "mlp_ratio": 1,
    "image_size": 32,
    "patch_size": 8,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
    "reshape_hidden_states": False,
}
LARGE = {"pixel_values": floats("large", 1, 3, 48, 48)}
SURFACES = ints([[[(i * j + i) % 4 for j in range(32)] for i in range(32)] for _ in range(2)])
PLAIN = [call("plain", {**IMAGES, **EVERYTHING}), call("large", LARGE)]

masked = body_calls(interpolates=False)
for one in masked:
    if "head_mask" in one.steps[0] and one.name == "head-mask":
        one.steps[0]["head_mask"] = {"values": [[1.0, 0.0, 1.0, 0.5]] * 4}
family.case("DPTModel", [*masked, call("large", {**LARGE, **EVERYTHING})])
family.case("DPTModel", [call("plain", {**IMAGES, **EVERYTHING})], "hybrid", **HYBRID)
family.case("DPTForDepthEstimation", PLAIN)
for readout in ("add", "ignore"):
    family.case("DPTForDepthEstimation", PLAIN[:1], readout, readout_type=readout)
family.case("DPTForDepthEstimation", [call("plain", {**IMAGES, **EVERYTHING})], "hybrid", **HYBRID)
family.case(
    "DPTForDepthEstimation",
    [
        call("plain", {**IMAGES, **EVERYTHING}),
        call("wide", {"pixel_values": floats("wide", 2, 3, 24, 48)}),
    ],
    "backbone",
    backbone_config=DINO,
    use_batch_norm_in_fusion_residual=True,
    head_in_index=1,
)
LOSS = {**IMAGES, "labels": SURFACES}
family.case(
    "DPTForSemanticSegmentation",
    [
        call("loss", {**LOSS, **EVERYTHING}, gradients=True),
        *PLAIN[1:],
    ],
    num_labels=4,
    semantic_loss_ignore_index=3,
    auxiliary_loss_weight=0.7,
)
family.case(
    "DPTForSemanticSegmentation",
    [call("plain", {**IMAGES, **EVERYTHING})],
    "one-head",
    num_labels=4,
    use_auxiliary_head=False,
    use_batch_norm_in_fusion_residual=True,
    use_bias_in_fusion_residual=True,
    head_in_index=-2,
)
