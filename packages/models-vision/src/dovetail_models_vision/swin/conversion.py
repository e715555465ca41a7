"""Swin's original checkpoints: one pickled file. No shape says how large pictures are: they have
been 32 windows' widths of pixels in all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles

BLOCK = {
    "norm1.*": "layernorm_before.*",
    "attn.query.*": "attention.self.query.*",
    "attn.key.*": "attention.self.key.*",
    "attn.value.*": "attention.self.value.*",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "attn.relative_position_index": "attention.self.relative_position_index",
    "attn.proj.*": "attention.output.dense.*",
    "norm2.*": "layernorm_after.*",
    "mlp.fc1.*": "intermediate.dense.*",
    "mlp.fc2.*": "output.dense.*",
}
SPLITS = tuple(
    Split(f"attn.qkv.{kind}", tuple(f"attn.{part}.{kind}" for part in ("query", "key", "value")))
    for kind in ("weight", "bias")
)


def swin_names(theirs: str, ours: str) -> dict[str, str]:
    """The names of the stages, which begin with `theirs` in the original and `ours` here."""
    layers = f"{ours}encoder.layers.*"
    return {
        f"{theirs}patch_embed.proj.*": f"{ours}embeddings.patch_embeddings.projection.*",
        f"{theirs}patch_embed.norm.*": f"{ours}embeddings.norm.*",
        f"{theirs}absolute_pos_embed": f"{ours}embeddings.position_embeddings",
        f"{theirs}layers.*.downsample.*.*": f"{layers}.downsample.*.*",
        **{
            f"{theirs}layers.*.blocks.*.{old}": f"{layers}.blocks.*.{new}"
            for old, new in BLOCK.items()
        },
    }


def swin_sizes(shapes: Shapes, theirs: str) -> dict[str, Any]:
    """The config, from the shapes."""
    width, channels, patch, _ = shapes[f"{theirs}patch_embed.proj.weight"]
    count = shapes.count(f"{theirs}layers.*.blocks.0.norm1.weight")
    stages = [f"{theirs}layers.{number}.blocks" for number in range(count)]
    tables = [shapes[f"{stage}.0.attn.relative_position_bias_table"] for stage in stages]
    window = (round(tables[0][0] ** 0.5) + 1) // 2
    return {
        "image_size": 32 * window,
        "patch_size": patch,
        "num_channels": channels,
        "embed_dim": width,
        "depths": [shapes.count(f"{stage}.*.norm1.weight") for stage in stages],
        "num_heads": [heads for _, heads in tables],
        "window_size": window,
        "mlp_ratio": shapes[f"{stages[0]}.0.mlp.fc1.weight"][0] / width,
        "qkv_bias": f"{stages[0]}.0.attn.qkv.bias" in shapes,
        "use_absolute_embeddings": f"{theirs}absolute_pos_embed" in shapes,
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return {**swin_sizes(shapes, ""), "num_labels": shapes["head.weight"][0]}


MICROSOFT = Layout(
    architecture="SwinForImageClassification",
    storage=TorchFiles(pattern="*.pth", name="swin.pth", state=("model",)),
    steps=(
        *SPLITS,
        Renames(
            {**swin_names("", "swin."), "norm.*": "swin.layernorm.*", "head.*": "classifier.*"}
        ),
    ),
    infer=_infer,
    marks=("layers.*.blocks.*.attn.relative_position_bias_table", "head.weight"),
    strangers=("layers.*.blocks.*.attn.logit_scale",),  # Swin V2
    ignored=("layers.*.blocks.*.attn_mask",),
)
