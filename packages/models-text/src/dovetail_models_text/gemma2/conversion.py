"""Google's PyTorch releases of Gemma 2: those of Gemma with two more norms in a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Indexed, Shapes
from dovetail_models_text.gemma import conversion as gemma

WIDTH_27B = 4608
"""The width of the 27B model, whose heads are narrower than those of the others."""


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes; the 27B model scales scores by its width over its heads, others by a head's."""
    large = shapes["embedder.weight"][1] == WIDTH_27B
    known = {"head_dim": 128 if large else gemma.HEAD_DIM} | dict(values)
    sizes = gemma.infer(settings, shapes, known)
    scale = WIDTH_27B // sizes["num_attention_heads"] if large else sizes["head_dim"]
    return sizes | {"query_pre_attn_scalar": scale}


SINGLE = replace(
    gemma.SINGLE,
    architecture="Gemma2ForCausalLM",
    infer=infer,
    strangers=(),
    marks=("embedder.weight", "model.layers.0.pre_feedforward_layernorm.weight"),
)
SHARDED = replace(SINGLE, storage=Indexed())
