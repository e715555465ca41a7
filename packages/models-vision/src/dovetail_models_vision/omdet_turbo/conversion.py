"""OmDet-Turbo's original checkpoints: one pickled file with all parts, Swin's and CLIP's included.

No shape says how many heads attention has among places and queries, nor of how many queries the
best are kept; 8 and 900 are taken for granted. The norms after the backbone are Swin's own there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.converting import Layout, Renames, Reversed, Shapes, TorchFiles
from dovetail.mapping import Drop, Split, Step
from dovetail_models_vision.clip.conversion import HEAD_WIDTH, NORMS
from dovetail_models_vision.detr.conversion import STATISTICS
from dovetail_models_vision.swin.conversion import SPLITS, swin_names, swin_sizes

HEADS = 8
SWIN, OURS = "backbone.", "vision_backbone.vision_backbone."
TEXT, OUR_TEXT = "language_backbone", "language_backbone.model.text_model"
BLOCK, LAYER = f"{TEXT}.transformer.resblocks.*", f"{OUR_TEXT}.encoder.layers.*"
COUNTED = (*STATISTICS, "num_batches_tracked")
ENCODER = {
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
    "linear1": "fc1",
    "linear2": "fc2",
    "self_attn": "self_attn",
}
DECODER = {
    "input_proj": "channel_projection_layers",
    "decoder.layers": "layers",
    "query_pos_head": "query_position_head",
    "enc_output": "encoder_vision_features",
    "enc_bbox_head": "encoder_bbox_head",
    "enc_score_head": "encoder_class_head",
    "dec_bbox_head": "decoder_bbox_head",
    "dec_score_head": "decoder_class_head",
    "task_encoder": "task_encoder",
    "task_project": "task_project",
    "tgt_embed": "tgt_embed",
}


def _neck() -> dict[str, str]:
    """The names of the hybrid encoder."""
    convolutions = {f"{part}.*": f"{part}.*" for part in ("lateral_convs", "downsample_convs")}
    for part in ("fpn_blocks", "pan_blocks"):
        convolutions |= {f"{part}.*.cv{n}": f"{part}.*.conv{n}" for n in (1, 2, 3)}
        convolutions[f"{part}.*.m.*.*"] = f"{part}.*.bottlenecks.*.*"
    table = {"neck.input_proj.**": "encoder.channel_projection_layers.**"}
    for theirs, ours in convolutions.items():
        table[f"neck.{theirs}.conv.weight"] = f"encoder.{ours}.conv.weight"
        for name in COUNTED:
            table[f"neck.{theirs}.bn.{name}"] = f"encoder.{ours}.norm.{name}"
    for theirs, ours in ENCODER.items():
        table[f"neck.encoder_layer.{theirs}.**"] = f"encoder.encoder.0.layers.0.{ours}.**"
    return table


def _text() -> dict[str, str]:
    """The names of CLIP's text encoder."""
    table = {
        f"{TEXT}.text_projection": f"{TEXT}.text_projection",
        f"{TEXT}.token_embedding.weight": f"{OUR_TEXT}.embeddings.token_embedding.weight",
        f"{TEXT}.positional_embedding": f"{OUR_TEXT}.embeddings.position_embedding.weight",
        f"{TEXT}.ln_final.*": f"{OUR_TEXT}.final_layer_norm.*",
        f"{BLOCK}.mlp.c_fc.*": f"{LAYER}.mlp.fc1.*",
        f"{BLOCK}.mlp.c_proj.*": f"{LAYER}.mlp.fc2.*",
    }
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        table[f"{BLOCK}.attn.{part}.*"] = f"{LAYER}.self_attn.{part}.*"
    return table | {f"{BLOCK}.{old}.*": f"{LAYER}.{new}.*" for old, new in NORMS.items()}


def _names() -> dict[str, str]:
    norms = {
        f"{SWIN}norm{number}.*": f"{OURS}hidden_states_norms.stage{number + 1}.*"
        for number in range(4)
    }
    decoder = {f"decoder.{old}.**": f"decoder.{new}.**" for old, new in DECODER.items()}
    return {**swin_names(SWIN, OURS), **norms, **_neck(), **_text(), **decoder}


def _fused(attention: str, *parts: str) -> list[Step]:
    return [
        Split(f"{attention}.in_proj_{kind}", tuple(f"{attention}.{part}.{kind}" for part in parts))
        for kind in ("weight", "bias")
    ]


def _norms(config: Any) -> dict[str, Tensor]:
    """Norms that nothing goes through: those of Swin itself are used."""
    return {
        f"vision_backbone.layer_norms.{index}.{kind}": fill(channels)
        for index, channels in enumerate(config.encoder_in_channels)
        for kind, fill in (("weight", torch.ones), ("bias", torch.zeros))
    }


def _texts(shapes: Shapes) -> dict[str, Any]:
    """The config of the text encoder."""
    vocabulary, width = shapes[f"{TEXT}.token_embedding.weight"]
    return {
        "model_type": "clip_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes[f"{BLOCK.replace('*', '0')}.mlp.c_fc.weight"][0],
        "num_hidden_layers": shapes.count(f"{BLOCK}.ln_1.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "max_position_embeddings": shapes[f"{TEXT}.positional_embedding"][0],
        "projection_dim": shapes[f"{TEXT}.text_projection"][1],
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    maps = shapes.count("neck.input_proj.*.0.weight")
    width, levels = (
        shapes["neck.input_proj.0.0.weight"][0],
        shapes.count("decoder.input_proj.*.0.weight"),
    )
    first = "decoder.decoder.layers.0"
    weights = shapes[f"{first}.cross_attn.attention_weights.weight"][0]
    stages = [f"stage{n + 1}" for n in range(4) if f"{SWIN}norm{n}.weight" in shapes]
    found = {
        "backbone_config": {
            "model_type": "swin",
            **swin_sizes(shapes, SWIN),
            "out_features": stages,
        },
        "text_config": _texts(shapes),
        "text_projection_in_dim": shapes[f"{TEXT}.text_projection"][0],
        "text_projection_out_dim": shapes[f"{TEXT}.text_projection"][1],
        "task_encoder_hidden_dim": shapes["decoder.task_encoder.mlp.linear1.weight"][0],
        "class_embed_dim": shapes["decoder.enc_score_head.weight"][1],
        "hidden_expansion": shapes["neck.fpn_blocks.0.cv1.conv.weight"][0] / width,
        "vision_features_channels": [width] * levels,
        "encoder_hidden_dim": width,
        "encoder_in_channels": [shapes[f"neck.input_proj.{n}.0.weight"][1] for n in range(maps)],
        "encoder_projection_indices": [maps - 1],
        "encoder_dim_feedforward": shapes["neck.encoder_layer.linear1.weight"][0],
        "num_feature_levels": levels,
        "decoder_hidden_dim": shapes["decoder.enc_output.0.weight"][0],
        "decoder_num_layers": shapes.count("decoder.decoder.layers.*.norm1.weight"),
        "decoder_dim_feedforward": shapes[f"{first}.linear1.weight"][0],
        "decoder_num_points": weights // (values.get("decoder_num_heads", HEADS) * levels),
    }
    if "decoder.tgt_embed.weight" in shapes:
        queries = shapes["decoder.tgt_embed.weight"][0]
        found |= {"learn_initial_query": True, "num_queries": queries}
    return found


DETECTOR = Layout(
    architecture="OmDetTurboForObjectDetection",
    storage=TorchFiles(pattern="*.pth", name="OmDet-Turbo_tiny_SWIN_T.pth", state=("model",)),
    steps=(
        *_fused(f"{BLOCK}.attn", "q_proj", "k_proj", "v_proj"),
        *_fused("self_attn", "query", "key", "value"),
        *SPLITS,
        Renames(_names()),
        Reversed(Drop("vision_backbone.layer_norms.*.*", _norms)),
    ),
    constants={
        "use_timm_backbone": False,
        "backbone": None,
        "apply_layernorm_after_vision_backbone": False,
    },
    infer=_infer,
    marks=("neck.encoder_layer.norm1.weight", "decoder.task_encoder.mlp.linear1.weight"),
    ignored=("backbone.layers.*.blocks.*.attn_mask",),
)
