"""CLIP's original checkpoints: OpenAI's TorchScript archives, or state dicts, as OpenCLIP has them.
Projections are fused, and heads are 64 wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, ScriptFiles, Shapes, Transpose
from dovetail.mapping import Split

HEAD_WIDTH = 64
NORMS = {"ln_1": "layer_norm1", "ln_2": "layer_norm2"}
BLOCK, VISUAL = "transformer.resblocks.*", "visual.transformer.resblocks.*"


def _names() -> dict[str, str]:
    table = {
        "logit_scale": "logit_scale",
        "text_projection": "text_projection.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.*": "text_model.final_layer_norm.*",
        "visual.proj": "visual_projection.weight",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.ln_pre.*": "vision_model.pre_layrnorm.*",
        "visual.ln_post.*": "vision_model.post_layernorm.*",
    }
    for block, half in ((BLOCK, "text_model"), (VISUAL, "vision_model")):
        layer = f"{half}.encoder.layers.*"
        for part in "qkv":
            table[f"{block}.attn.{part}_proj.*"] = f"{layer}.self_attn.{part}_proj.*"
        table[f"{block}.attn.out_proj.*"] = f"{layer}.self_attn.out_proj.*"
        table[f"{block}.mlp.c_fc.*"] = f"{layer}.mlp.fc1.*"
        table[f"{block}.mlp.c_proj.*"] = f"{layer}.mlp.fc2.*"
        for theirs, ours in NORMS.items():
            table[f"{block}.{theirs}.*"] = f"{layer}.{ours}.*"
    return table


def _half(shapes: Shapes, block: str, width: int) -> dict[str, Any]:
    first = block.replace("*", "0")
    return {
        "hidden_size": width,
        "intermediate_size": shapes[f"{first}.mlp.c_fc.weight"][0],
        "num_hidden_layers": shapes.count(f"{block}.ln_1.weight"),
        "num_attention_heads": max(width // HEAD_WIDTH, 1),
        "projection_dim": shapes["text_projection"][1],
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, width = shapes["token_embedding.weight"]
    visual, channels, patch, _ = shapes["visual.conv1.weight"]
    side = round((shapes["visual.positional_embedding"][0] - 1) ** 0.5)
    text = _half(shapes, BLOCK, width) | {
        "vocab_size": vocabulary,
        "max_position_embeddings": shapes["positional_embedding"][0],
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }
    vision = _half(shapes, VISUAL, visual) | {
        "num_channels": channels,
        "patch_size": patch,
        "image_size": side * patch,
    }
    return {
        "text_config": text,
        "vision_config": vision,
        "projection_dim": shapes["text_projection"][1],
    }


OPENAI = Layout(
    architecture="CLIPModel",
    storage=ScriptFiles(pattern="*.pt", name="clip.pt"),
    steps=(
        *(  # of both halves, whose names end alike
            Split(
                f"{BLOCK}.attn.in_proj_{kind}",
                tuple(f"{BLOCK}.attn.{part}_proj.{kind}" for part in "qkv"),
            )
            for kind in ("weight", "bias")
        ),
        Renames(_names()),
        Transpose("text_projection.weight"),
        Transpose("visual_projection.weight"),
    ),
    infer=_infer,
    marks=("visual.class_embedding", "token_embedding.weight", "text_projection"),
    ignored=("input_resolution", "context_length", "vocab_size", "**.attn_mask"),
)
