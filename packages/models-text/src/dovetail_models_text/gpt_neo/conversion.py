"""EleutherAI's release of GPT-Neo: a checkpoint of Mesh TensorFlow and the settings of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Crop, Layout, Renames, Shapes, TensorFlowFiles
from dovetail.mapping import Transpose

PRODUCTS = {
    f"gpt2.h*.attn.{letter}": f"transformer.h.*.attn.attention.{name}_proj.weight"
    for letter, name in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "out"))
}
MLP = {
    f"gpt2.h*.mlp.conv1d_main.{name}.{old}": f"transformer.h.*.mlp.{name}.{new}"
    for name in ("c_fc", "c_proj")
    for old, new in (("kernel", "weight"), ("bias", "bias"))
}
NORMS = {
    f"gpt2.h*.norm_{number}.{old}": f"transformer.h.*.ln_{number}.{new}"
    for number in (1, 2)
    for old, new in (("g", "weight"), ("b", "bias"))
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return {"intermediate_size": shapes["gpt2.h0.mlp.conv1d_main.c_fc.kernel"][1]}


MESH = Layout(
    architecture="GPTNeoForCausalLM",
    storage=TensorFlowFiles(settings_file="config.json"),
    steps=(
        *(Transpose(f"attn.{letter}") for letter in "qkvo"),
        Transpose("kernel"),
        Crop("wte", lambda config: config.vocab_size),
        Renames(
            {
                "gpt2.wte": "transformer.wte.weight",
                "gpt2.wpe": "transformer.wpe.weight",
                "gpt2.ln_f.g": "transformer.ln_f.weight",
                "gpt2.ln_f.b": "transformer.ln_f.bias",
                "gpt2.h*.attn.compute_output_bias.o_b": (
                    "transformer.h.*.attn.attention.out_proj.bias"
                ),
                **PRODUCTS,
                **MLP,
                **NORMS,
            }
        ),
    ),
    fields={
        "n_vocab": "vocab_size",
        "n_ctx": "max_position_embeddings",
        "n_embd": "hidden_size",
        "n_head": "num_heads",
        "n_layer": "num_layers",
        "attention_types": "attention_types",
    },
    optional={"window_size": "window_size"},
    infer=_infer,
    marks=("gpt2.wte", "gpt2.h*.attn.compute_output_bias.o_b"),
    ignored=("global_step", "**.adam_m", "**.adam_v"),
)
