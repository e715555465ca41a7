"""RT-DETR's original checkpoints: one pickled file with the weights' moving average.

Nothing in them says how many heads attention has, of how many queries the best are kept, nor which
maps are read by attention; 8, 300 and the smallest are taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_vision.detr.conversion import STATISTICS, split_projections

HEADS = 8
STAGES = ["stage2", "stage3", "stage4"]
SAME = ("denoising_class_embed", "enc_output", "enc_score_head", "enc_bbox_head")
JOINTS = ("lateral_convs", "fpn_blocks", "downsample_convs", "pan_blocks")
ENCODER = {"norm1": "self_attn_layer_norm", "norm2": "final_layer_norm"}
DECODER = {
    "norm1": "self_attn_layer_norm",
    "norm2": "encoder_attn_layer_norm",
    "norm3": "final_layer_norm",
    "cross_attn": "encoder_attn",
}
LAYER = {"linear1": "fc1", "linear2": "fc2", "self_attn": "self_attn"}


def _backbone() -> dict[str, str]:
    """Names of the ResNet-D."""
    ours, table = "model.backbone.model", {}
    layer, target = "backbone.res_layers.*.blocks.*", f"{ours}.encoder.stages.*.layers.*"
    blocks = {
        f"backbone.conv1.conv1_{number + 1}": f"{ours}.embedder.embedder.{number}"
        for number in range(3)
    }
    blocks |= {f"{layer}.branch2{'abc'[n]}": f"{target}.layer.{n}" for n in range(3)}
    blocks |= {
        f"{layer}.short": f"{target}.shortcut",
        f"{layer}.short.conv": f"{target}.shortcut.1",
    }
    for block, to in blocks.items():
        table[f"{block}.conv.weight"] = f"{to}.convolution.weight"
        for name in STATISTICS:
            table[f"{block}.norm.{name}"] = f"{to}.normalization.{name}"
    return table


def _names() -> dict[str, str]:
    table = _backbone() | {
        "encoder.input_proj.**": "model.encoder_input_proj.**",
        "decoder.input_proj.*.conv.weight": "model.decoder_input_proj.*.0.weight",
        "decoder.input_proj.*.norm.*": "model.decoder_input_proj.*.1.*",
        "decoder.tgt_embed.weight": "model.weight_embedding.weight",
        "decoder.query_pos_head.**": "model.decoder.query_pos_head.**",
        "decoder.dec_score_head.**": "model.decoder.class_embed.**",
        "decoder.dec_bbox_head.**": "model.decoder.bbox_embed.**",
    }
    table |= {f"encoder.{name}.**": f"model.encoder.{name}.**" for name in JOINTS}
    table |= {f"decoder.{name}.**": f"model.{name}.**" for name in SAME}
    for layer, target, parts in (
        ("encoder.encoder.*.layers.*", "model.encoder.encoder.*.layers.*", ENCODER),
        ("decoder.decoder.layers.*", "model.decoder.layers.*", DECODER),
    ):
        table |= {f"{layer}.{old}.**": f"{target}.{new}.**" for old, new in (parts | LAYER).items()}
    return table


def _resnet(shapes: Shapes) -> dict[str, Any]:
    """The config of the backbone."""
    blocks = "backbone.res_layers.{}.blocks"
    deep = f"{blocks.format(0)}.0.branch2c.conv.weight" in shapes
    last = "branch2c" if deep else "branch2b"
    return {
        "model_type": "rt_detr_resnet",
        "embedding_size": shapes["backbone.conv1.conv1_3.conv.weight"][0],
        "hidden_sizes": [
            shapes[f"{blocks.format(stage)}.0.{last}.conv.weight"][0] for stage in range(4)
        ],
        "depths": [
            shapes.count(f"{blocks.format(stage)}.*.branch2a.conv.weight") for stage in range(4)
        ],
        "layer_type": "bottleneck" if deep else "basic",
        "out_features": STAGES,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    width = shapes["encoder.input_proj.0.0.weight"][0]
    maps = shapes.count("encoder.input_proj.*.0.weight")
    stacks = shapes.count("encoder.encoder.*.layers.0.norm1.weight")
    levels = shapes.count("decoder.input_proj.*.conv.weight")
    first = "decoder.decoder.layers.0"
    weights = shapes[f"{first}.cross_attn.attention_weights.weight"][0]
    found = {
        "backbone_config": _resnet(shapes),
        "encoder_in_channels": [
            shapes[f"encoder.input_proj.{index}.0.weight"][1] for index in range(maps)
        ],
        "encoder_hidden_dim": width,
        "encode_proj_layers": list(range(maps - stacks, maps)),
        "encoder_layers": shapes.count("encoder.encoder.0.layers.*.norm1.weight"),
        "encoder_ffn_dim": shapes["encoder.encoder.0.layers.0.linear1.weight"][0],
        "hidden_expansion": shapes["encoder.fpn_blocks.0.conv1.conv.weight"][0] / width,
        "d_model": shapes["decoder.enc_output.0.weight"][0],
        "decoder_in_channels": [width] * maps,
        "num_feature_levels": levels,
        "decoder_layers": shapes.count("decoder.decoder.layers.*.norm1.weight"),
        "decoder_ffn_dim": shapes[f"{first}.linear1.weight"][0],
        "decoder_n_points": weights // (values.get("decoder_attention_heads", HEADS) * levels),
        "num_labels": shapes["decoder.enc_score_head.weight"][0],
    }
    if "decoder.denoising_class_embed.weight" not in shapes:
        found["num_denoising"] = 0
    if "decoder.tgt_embed.weight" in shapes:
        queries = shapes["decoder.tgt_embed.weight"][0]
        found |= {"learn_initial_query": True, "num_queries": queries}
    return found


DETECTOR = Layout(
    architecture="RTDetrForObjectDetection",
    storage=TorchFiles(pattern="*.pth", name="rtdetr.pth", state=("ema", "module")),
    steps=(*split_projections("self_attn"), Renames(_names())),
    infer=_infer,
    marks=("encoder.pan_blocks.0.conv1.conv.weight", "decoder.dec_score_head.0.weight"),
    ignored=(
        "decoder.anchors",
        "decoder.valid_mask",
        "backbone.**.num_batches_tracked",
    ),
)
