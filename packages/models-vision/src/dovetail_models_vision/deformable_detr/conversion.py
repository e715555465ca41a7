"""Deformable DETR's original checkpoints: as DETR's, with all the copies of shared heads.

Nothing in them says how many heads attention has; 8 are taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_vision.detr.conversion import resnet_names, resnet_sizes, split_projections

BODY = "backbone.0.body"
HEADS = 8
NORMS = {
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("encoder_attn_layer_norm", "self_attn_layer_norm", "final_layer_norm"),
}
"""In the order of their numbers; the decoder's queries look at each other before they look at the
picture, but are numbered the other way round."""
SAME = ("enc_output", "enc_output_norm", "pos_trans", "pos_trans_norm", "reference_points")


def _names() -> dict[str, str]:
    table = resnet_names(BODY, "model.backbone.conv_encoder.model") | {
        "transformer.level_embed": "model.level_embed",
        "query_embed.weight": "model.query_position_embeddings.weight",
        "input_proj.**": "model.input_proj.**",
    }
    for head in ("class_embed", "bbox_embed"):
        table[f"{head}.**"] = f"{head}.**"
        table[f"transformer.decoder.{head}.**"] = f"model.decoder.{head}.**"
    for name in SAME:
        table[f"transformer.{name}.*"] = f"model.{name}.*"
    for stack, norms in NORMS.items():
        layer, target = f"transformer.{stack}.layers.*", f"model.{stack}.layers.*"
        for number, norm in enumerate(norms, 1):
            table[f"{layer}.norm{number}.*"] = f"{target}.{norm}.*"
        for number in (1, 2):
            table[f"{layer}.linear{number}.*"] = f"{target}.fc{number}.*"
        table[f"{layer}.self_attn.**"] = f"{target}.self_attn.**"
        table[f"{layer}.cross_attn.**"] = f"{target}.encoder_attn.**"
    return table


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    levels, width = shapes["transformer.level_embed"]
    kernels = [shapes[f"input_proj.{level}.0.weight"][-1] for level in range(levels)]
    stages = [f"stage{number}" for number in range(5 - kernels.count(1), 5)]
    two_stages = "transformer.enc_output.weight" in shapes
    found: dict[str, Any] = {
        "d_model": width,
        "num_feature_levels": levels,
        "num_labels": shapes["class_embed.0.weight"][0],
        "with_box_refine": "transformer.decoder.bbox_embed.0.layers.0.weight" in shapes,
        "two_stage": two_stages,
        "backbone_config": {**resnet_sizes(shapes, BODY), "out_features": stages},
    }
    if not two_stages:
        found["num_queries"] = shapes["query_embed.weight"][0]
    for stack, attention in (("encoder", "self_attn"), ("decoder", "cross_attn")):
        layers = f"transformer.{stack}.layers"
        heads = values.get(f"{stack}_attention_heads", HEADS)
        weights = shapes[f"{layers}.0.{attention}.attention_weights.weight"][0]
        found[f"{stack}_n_points"] = weights // (heads * levels)
        found[f"{stack}_layers"] = shapes.count(f"{layers}.*.norm1.weight")
        found[f"{stack}_ffn_dim"] = shapes[f"{layers}.0.linear1.weight"][0]
    return found


DETECTOR = Layout(
    architecture="DeformableDetrForObjectDetection",
    storage=TorchFiles(pattern="*.pth", name="deformable_detr.pth", state=("model",)),
    steps=(*split_projections("self_attn"), Renames(_names())),
    constants={"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None},
    infer=_infer,
    marks=(
        "transformer.level_embed",
        "transformer.encoder.layers.*.self_attn.sampling_offsets.weight",
    ),
    copies={"class_embed.**": ("**",), "bbox_embed.**": ("**",)},
)
