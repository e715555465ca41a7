"""The original checkpoints of AST: those of a model that was trained on several devices, with
timm's DeiT inside. How far apart patches are follows from how many positions there are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, Split, TorchFiles
from dovetail.errors import CheckpointError

HEAD_WIDTH = 64
MEL_BINS = 128
LENGTHS = (1024, 512, 128)
"""Frames that a model hears: those for AudioSet, ESC-50 and Speech Commands."""
STRIDES = (10, 12, 14, 16)

BODY = "audio_spectrogram_transformer"
BLOCK, LAYER = "module.v.blocks.*", f"{BODY}.encoder.layer.*"
NAMES = {
    "module.v.cls_token": f"{BODY}.embeddings.cls_token",
    "module.v.dist_token": f"{BODY}.embeddings.distillation_token",
    "module.v.pos_embed": f"{BODY}.embeddings.position_embeddings",
    "module.v.patch_embed.proj.*": f"{BODY}.embeddings.patch_embeddings.projection.*",
    **{
        f"{BLOCK}.attn.{part}.*": f"{LAYER}.attention.attention.{part}.*"
        for part in ("query", "key", "value")
    },
    f"{BLOCK}.attn.proj.*": f"{LAYER}.attention.output.dense.*",
    f"{BLOCK}.norm1.*": f"{LAYER}.layernorm_before.*",
    f"{BLOCK}.norm2.*": f"{LAYER}.layernorm_after.*",
    f"{BLOCK}.mlp.fc1.*": f"{LAYER}.intermediate.dense.*",
    f"{BLOCK}.mlp.fc2.*": f"{LAYER}.output.dense.*",
    "module.v.norm.*": f"{BODY}.layernorm.*",
    "module.mlp_head.0.*": "classifier.layernorm.*",
    "module.mlp_head.1.*": "classifier.dense.*",
}


def _spectrogram(positions: int, patch: int) -> tuple[int, int]:
    """How many frames the model with so many `positions` reads, and how far apart patches are."""
    for length, stride in product(LENGTHS, STRIDES):
        rows, columns = ((size - patch) // stride + 1 for size in (MEL_BINS, length))
        if rows * columns == positions:
            return length, stride
    raise CheckpointError(
        f"'module.v.pos_embed' has {positions} patches of {patch}, as no spectrogram of {MEL_BINS} "
        f"bins and {', '.join(map(str, LENGTHS))} frames has: it is of no published AST."
    )


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    width, _, patch, _ = shapes["module.v.patch_embed.proj.weight"]
    length, stride = _spectrogram(shapes["module.v.pos_embed"][1] - 2, patch)
    return {
        "hidden_size": width,
        "num_hidden_layers": shapes.count("module.v.blocks.*.norm1.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "intermediate_size": shapes["module.v.blocks.0.mlp.fc1.weight"][0],
        "patch_size": patch,
        "frequency_stride": stride,
        "time_stride": stride,
        "max_length": length,
        "num_mel_bins": MEL_BINS,
        "num_labels": shapes["module.mlp_head.1.weight"][0],
    }


MIT = Layout(
    architecture="ASTForAudioClassification",
    storage=TorchFiles(pattern="*.pth", name="ast.pth"),
    steps=(
        *(
            Split(
                f"{BLOCK}.attn.qkv.{kind}",
                tuple(f"{BLOCK}.attn.{part}.{kind}" for part in ("query", "key", "value")),
            )
            for kind in ("weight", "bias")
        ),
        Renames(NAMES),
    ),
    infer=_infer,
    marks=("module.v.dist_token", "module.mlp_head.1.weight"),
    ignored=("module.v.head.*", "module.v.head_dist.*"),
)
