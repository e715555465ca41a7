"""Mistral's releases: ``params.json`` with ``consolidated.safetensors``, or with one ``.pth`` or
``.pt`` file per model-parallel rank in the older ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_text.llama.conversion import ATTENTION, DIMS, MLP, ROTARY, sizes

FIELDS = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "hidden_dim": "intermediate_size",
    "norm_eps": "rms_norm_eps",
}
OPTIONAL = {
    "head_dim": "head_dim",
    "rope_theta": "rope_theta",
    "vocab_size": "vocab_size",
    "sliding_window": "sliding_window",
    "max_seq_len": "max_position_embeddings",
}
TOKENIZERS = {"tokenizer.model": "tokenizer.model", "tokenizer.model.v3": "tokenizer.model"}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    context = 131072 if "sliding_window" in settings else 32768
    found = {"max_position_embeddings": context} | dict(values)
    window = {"sliding_window": settings.get("sliding_window")}
    return sizes(shapes) | window | {"max_position_embeddings": found["max_position_embeddings"]}


CONSOLIDATED = Layout(
    architecture="MistralForCausalLM",
    storage=TorchFiles(
        pattern="consolidated.safetensors",
        name="consolidated.safetensors",
        settings_file="params.json",
    ),
    steps=(*ROTARY, Renames(ATTENTION | MLP)),
    fields=FIELDS,
    optional=OPTIONAL,
    infer=_infer,
    marks=("tok_embeddings.weight", "layers.*.feed_forward.w1.weight"),
    keys=("hidden_dim",),
    strangers=("vision_encoder.patch_conv.weight",),
    files=TOKENIZERS,
)
SHARDS = replace(
    CONSOLIDATED,
    storage=TorchFiles(
        pattern="consolidated.*.pt*",
        name="consolidated.{rank:02d}.pth",
        dims=DIMS,
        settings_file="params.json",
    ),
)
