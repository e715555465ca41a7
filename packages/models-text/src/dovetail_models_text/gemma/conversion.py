"""Google's PyTorch releases of Gemma: ``model.ckpt``, or ``pytorch_model-*.bin`` with an index.

Queries, keys and values are one projection. The files hold no settings: sizes are read from the
shapes, with the width of a head that the releases have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Indexed, Layout, Renames, Shapes, TorchFiles
from dovetail.mapping import Split

HEAD_DIM = 256
LAYER = "model.layers.0."
TABLE = {
    "embedder.weight": "model.embed_tokens.weight",
    "model.norm.weight": "model.norm.weight",
    "model.layers.**": "model.layers.**",
}
QKV = "self_attn.qkv_proj.weight"


def qkv_sizes(config: Any) -> tuple[int, int, int]:
    """Rows of queries, keys and values."""
    keys = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, keys, keys


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes, from the shapes."""
    vocabulary, width = shapes["embedder.weight"]
    head = values.get("head_dim", HEAD_DIM)
    queries = shapes[f"{LAYER}self_attn.o_proj.weight"][1]
    fused = shapes[f"{LAYER}{QKV}"][0]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes[f"{LAYER}mlp.gate_proj.weight"][0],
        "num_hidden_layers": shapes.count("model.layers.*.mlp.gate_proj.weight"),
        "num_attention_heads": queries // head,
        "num_key_value_heads": (fused - queries) // (2 * head),
        "head_dim": head,
    }


SINGLE = Layout(
    architecture="GemmaForCausalLM",
    storage=TorchFiles("*.ckpt", "model.ckpt", state=("model_state_dict",)),
    steps=(
        Split(QKV, tuple(f"self_attn.{part}_proj.weight" for part in "qkv"), sizes=qkv_sizes),
        Renames(TABLE),
    ),
    infer=infer,
    marks=("embedder.weight", f"{LAYER}{QKV}"),
    strangers=(f"{LAYER}pre_feedforward_layernorm.weight",),
    ignored=("freqs_cis",),
    files={"tokenizer.model": "tokenizer.model"},
)
SHARDED = replace(SINGLE, storage=Indexed())
