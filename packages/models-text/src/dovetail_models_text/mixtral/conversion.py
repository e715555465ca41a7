"""Mistral's releases of Mixtral: ``consolidated.safetensors``, or the first ``consolidated.NN.pt``.

The latter hold whole tensors each, and the weights of a layer's experts as one: `w1`, `w2` and
`w3`, the second transposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Reshape, Reversed, Shapes, TorchFiles
from dovetail.mapping import Stack, Step, Transpose
from dovetail_models_text.llama.conversion import ATTENTION, ROTARY, sizes
from dovetail_models_text.mistral.conversion import FIELDS, OPTIONAL, TOKENIZERS

OURS = "model.layers.*.block_sparse_moe"
EXPERTS = {
    "layers.*.feed_forward.gate.weight": f"{OURS}.gate.weight",
    "layers.*.feed_forward.experts.*.w*.weight": f"{OURS}.experts.*.w*.weight",
}
BLOCKS = {
    "layers.*.block_sparse_moe.gate.weight": f"{OURS}.gate.weight",
    "layers.*.block_sparse_moe.experts.*.w*.weight": f"{OURS}.experts.*.w*.weight",
}


def _apart(name: str) -> tuple[Step, ...]:
    """Steps that take a layer's experts apart."""
    fused = f"block_sparse_moe.{name}"
    return (
        Reshape(
            fused,
            lambda config, shape: (config.num_local_experts, config.intermediate_size, shape[-1]),
            lambda config, shape: (shape[0] * shape[1], shape[2]),
        ),
        Reversed(Stack(f"block_sparse_moe.experts.#.{name}.weight", fused)),
    )


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    window = settings.get("sliding_window")  # a text in the first release
    return sizes(shapes) | {"sliding_window": None if window is None else int(window)}


CONSOLIDATED = Layout(
    architecture="MixtralForCausalLM",
    storage=TorchFiles(
        pattern="consolidated.safetensors",
        name="consolidated.safetensors",
        settings_file="params.json",
    ),
    steps=(*ROTARY, Renames(ATTENTION | EXPERTS)),
    fields=FIELDS
    | {
        "moe.num_experts": "num_local_experts",
        "moe.num_experts_per_tok": "num_experts_per_tok",
    },
    optional=OPTIONAL,
    constants={"max_position_embeddings": 32768},
    infer=_infer,
    marks=("tok_embeddings.weight", "layers.*.feed_forward.gate.weight"),
    keys=("hidden_dim",),
    files=TOKENIZERS,
)
BLOCK_FILES = replace(
    CONSOLIDATED,
    storage=TorchFiles(
        pattern="consolidated.*.pt",
        name="consolidated.{rank:02d}.pt",
        settings_file="params.json",
    ),
    steps=(
        *ROTARY,
        *_apart("w1"),
        *_apart("w2"),
        *_apart("w3"),
        Transpose("experts.*.w2.weight"),
        Renames(ATTENTION | BLOCKS),
    ),
    marks=("tok_embeddings.weight", "layers.*.block_sparse_moe.w1"),
)
