"""ViT's original checkpoints as timm has them: one file with fused projections, whose shapes say
all sizes but the number of heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail.mapping import Split, Step

HEAD_WIDTH = 64
HEADS = {1280: 16, 1408: 16, 1664: 16}
"""How many heads there are where each is not 64 wide, by the model's width."""


def tower_names(theirs: str, ours: str) -> dict[str, str]:
    """The names of patches, positions and norm, and of the layers' norms and attention; `theirs`
    and `ours` are the prefixes."""
    block, layer = f"{theirs}blocks.*", f"{ours}encoder.layer.*"
    return {
        f"{theirs}cls_token": f"{ours}embeddings.cls_token",
        f"{theirs}pos_embed": f"{ours}embeddings.position_embeddings",
        f"{theirs}patch_embed.proj.*": f"{ours}embeddings.patch_embeddings.projection.*",
        f"{theirs}norm.*": f"{ours}layernorm.*",
        f"{block}.attn.query.*": f"{layer}.attention.attention.query.*",
        f"{block}.attn.key.*": f"{layer}.attention.attention.key.*",
        f"{block}.attn.value.*": f"{layer}.attention.attention.value.*",
        f"{block}.attn.proj.*": f"{layer}.attention.output.dense.*",
    }


def layer_names(theirs: str, ours: str) -> dict[str, str]:
    """The names of a layer's norms and MLP."""
    block, layer = f"{theirs}blocks.*", f"{ours}encoder.layer.*"
    return {
        f"{block}.norm1.*": f"{layer}.layernorm_before.*",
        f"{block}.norm2.*": f"{layer}.layernorm_after.*",
        f"{block}.mlp.fc1.*": f"{layer}.intermediate.dense.*",
        f"{block}.mlp.fc2.*": f"{layer}.output.dense.*",
    }


def split_fused(theirs: str) -> list[Step]:
    """Queries, keys and values are one matrix there."""
    attention = f"{theirs}blocks.*.attn"
    return [
        Split(
            f"{attention}.qkv.{kind}",
            tuple(f"{attention}.{part}.{kind}" for part in ("query", "key", "value")),
        )
        for kind in ("weight", "bias")
    ]


def tower_sizes(shapes: Shapes, theirs: str) -> dict[str, Any]:
    """The sizes of the encoder under the prefix `theirs`."""
    width, channels, patch, _ = shapes[f"{theirs}patch_embed.proj.weight"]
    side = round((shapes[f"{theirs}pos_embed"][1] - 1) ** 0.5)
    return {
        "hidden_size": width,
        "num_hidden_layers": shapes.count(f"{theirs}blocks.*.norm1.weight"),
        "num_attention_heads": HEADS.get(width) or max(width // HEAD_WIDTH, 1),
        "image_size": side * patch,
        "patch_size": patch,
        "num_channels": channels,
        "qkv_bias": f"{theirs}blocks.0.attn.qkv.bias" in shapes,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return tower_sizes(shapes, "") | {
        "intermediate_size": shapes["blocks.0.mlp.fc1.weight"][0],
        "num_labels": shapes["head.weight"][0],
    }


TIMM = Layout(
    architecture="ViTForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="vit.pth"),
    steps=(
        *split_fused(""),
        Renames(tower_names("", "vit.") | layer_names("", "vit.") | {"head.*": "classifier.*"}),
    ),
    constants={"layer_norm_eps": 1e-6},
    infer=_infer,
    marks=("cls_token", "pos_embed", "blocks.*.attn.qkv.weight", "norm.weight", "head.weight"),
    strangers=("blocks.*.ls1.gamma", "blocks.*.attn.relative_position_bias_table"),
)
