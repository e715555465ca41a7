"""VideoMAE's original checkpoints: one pickled file, with queries, keys and values as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles

HEAD_WIDTH = 64
"""That of every VideoMAE, whose number of heads no file says."""
BLOCK = {
    "attn.q_bias": "attention.attention.q_bias",
    "attn.v_bias": "attention.attention.v_bias",
    "attn.q.weight": "attention.attention.query.weight",
    "attn.k.weight": "attention.attention.key.weight",
    "attn.v.weight": "attention.attention.value.weight",
    "attn.proj.*": "attention.output.dense.*",
    "norm1.*": "layernorm_before.*",
    "norm2.*": "layernorm_after.*",
    "mlp.fc1.*": "intermediate.dense.*",
    "mlp.fc2.*": "output.dense.*",
}
CUT = Split("attn.qkv.weight", ("attn.q.weight", "attn.k.weight", "attn.v.weight"))


def blocks(own: str, hub: str) -> dict[str, str]:
    """The names of the layers `own`, which the Hub calls `hub`."""
    return {f"{own}.*.{old}": f"{hub}.*.{new}" for old, new in BLOCK.items()}


PATCHES = "videomae.embeddings.patch_embeddings.projection.*"
PRETRAINED = {
    "encoder.patch_embed.proj.*": PATCHES,
    "encoder.norm.*": "videomae.layernorm.*",
    "encoder_to_decoder.weight": "encoder_to_decoder.weight",
    "mask_token": "mask_token",
    "decoder.norm.*": "decoder.norm.*",
    "decoder.head.*": "decoder.head.*",
    **blocks("encoder.blocks", "videomae.encoder.layer"),
    **blocks("decoder.blocks", "decoder.decoder_layers"),
}
FINETUNED = {
    "patch_embed.proj.*": PATCHES,
    "fc_norm.*": "fc_norm.*",
    "head.*": "classifier.*",
    **blocks("blocks", "videomae.encoder.layer"),
}


def sizes(shapes: Shapes, prefix: str) -> dict[str, Any]:
    """What the encoder's shapes say."""
    width, channels, tubelet, patch, _ = shapes[f"{prefix}patch_embed.proj.weight"]
    return {
        "hidden_size": width,
        "num_channels": channels,
        "tubelet_size": tubelet,
        "patch_size": patch,
        "num_hidden_layers": shapes.count(f"{prefix}blocks.*.norm1.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes[f"{prefix}blocks.0.mlp.fc1.weight"][0],
        "qkv_bias": f"{prefix}blocks.0.attn.q_bias" in shapes,
    }


def pretrained(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The config of a pre-trained model."""
    width = shapes["encoder_to_decoder.weight"][0]
    return sizes(shapes, "encoder.") | {
        "use_mean_pooling": False,
        "decoder_hidden_size": width,
        "decoder_num_hidden_layers": shapes.count("decoder.blocks.*.norm1.weight"),
        "decoder_num_attention_heads": max(width // HEAD_WIDTH, 1),
        "decoder_intermediate_size": shapes["decoder.blocks.0.mlp.fc1.weight"][0],
    }


def finetuned(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The config of a classifier."""
    return sizes(shapes, "") | {"num_labels": shapes["head.weight"][0]}


PAINTER = Layout(
    architecture="VideoMAEForPreTraining",
    storage=TorchFiles(pattern="*.pth", name="checkpoint.pth", state=("model",)),
    steps=(CUT, Renames(PRETRAINED)),
    infer=pretrained,
    marks=("encoder_to_decoder.weight", "encoder.blocks.*.attn.qkv.weight"),
)
CLASSIFIER = replace(
    PAINTER,
    architecture="VideoMAEForVideoClassification",
    storage=TorchFiles(pattern="*.pth", name="checkpoint.pth", state=("module",)),
    steps=(CUT, Renames(FINETUNED)),
    infer=finetuned,
    marks=("fc_norm.weight", "blocks.*.attn.qkv.weight", "head.weight"),
)
