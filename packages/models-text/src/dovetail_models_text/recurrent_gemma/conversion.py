"""Google's PyTorch release of RecurrentGemma: one ``.pt`` without settings.

The two projections into an MLP are one tensor, and a convolution has its width in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Reshape, Shapes, TorchFiles
from dovetail.mapping import Split, Transpose

MLP = "mlp_block"
OURS = "model.layers.*"
RECURRENT = "blocks.*.recurrent_block"
GATES = {"a_gate": "recurrent_gate", "input_gate": "input_gate"}
PARTS = {"w": "weight", "b": "bias"}


def _pattern(kinds: list[str]) -> list[str]:
    """The shortest list that `kinds` repeat."""
    lengths = range(1, len(kinds) + 1)
    return kinds[: next(n for n in lengths if kinds[n:] == kinds[:-n])]


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, width = shapes["embedder.input_embedding"]
    layers = range(shapes.count(f"blocks.*.{MLP}.ffw_up.w"))
    attention = [f"blocks.{layer}.attention_block.proj_k.weight" for layer in layers]
    recurrent = next(layer for layer in layers if attention[layer] not in shapes)
    block = f"blocks.{recurrent}.recurrent_block"
    heads = shapes[f"{block}.rg_lru.input_gate.w"][0]
    keys = next((shapes[name][0] for name in attention if name in shapes), width)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * shapes[f"blocks.0.{MLP}.ffw_up.w"][2],
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "num_key_value_heads": keys * heads // width,
        "lru_width": shapes[f"{block}.linear_x.weight"][0],
        "conv1d_width": shapes[f"{block}.conv_1d.w"][0],
        "block_types": _pattern(
            ["attention" if name in shapes else "recurrent" for name in attention]
        ),
    }


STEPS = (
    Transpose(f"{MLP}.ffw_up.w", (1, 2)),
    Reshape(
        f"{MLP}.ffw_up.w",
        lambda _, shape: (shape[0] * shape[1], shape[2]),
        lambda _, shape: (2, shape[0] // 2, shape[1]),
    ),
    Reshape(
        f"{MLP}.ffw_up.b",
        lambda _, shape: (shape[0] * shape[3],),
        lambda _, shape: (2, 1, 1, shape[0] // 2),
    ),
    *(
        Split(f"{MLP}.ffw_up.{part}", (f"{MLP}.gate_proj.{ours}", f"{MLP}.up_proj.{ours}"))
        for part, ours in PARTS.items()
    ),
    Transpose("conv_1d.w"),
    Reshape(
        "conv_1d.w",
        lambda _, shape: (shape[0], 1, shape[1]),
        lambda _, shape: (shape[0], shape[2]),
    ),
    Renames(
        {
            "embedder.input_embedding": "model.embed_tokens.weight",
            "final_norm.scale": "model.final_norm.weight",
            "blocks.*.*_pre_norm.scale": f"{OURS}.*_pre_norm.weight",
            f"{RECURRENT}.linear_*.*": f"{OURS}.temporal_block.linear_*.*",
            f"{RECURRENT}.rg_lru.a_param": f"{OURS}.temporal_block.rg_lru.recurrent_param",
            **{
                f"{RECURRENT}.conv_1d.{part}": f"{OURS}.temporal_block.conv_1d.{ours}"
                for part, ours in PARTS.items()
            },
            **{
                f"{RECURRENT}.rg_lru.{gate}.{part}": f"{OURS}.temporal_block.rg_lru.{new}_{ours}"
                for gate, new in GATES.items()
                for part, ours in PARTS.items()
            },
            "blocks.*.attention_block.proj_final.*": f"{OURS}.temporal_block.o_proj.*",
            "blocks.*.attention_block.proj_*.weight": f"{OURS}.temporal_block.*_proj.weight",
            f"blocks.*.{MLP}.ffw_down.*": f"{OURS}.mlp_block.down_proj.*",
            f"blocks.*.{MLP}.gate_proj.*": f"{OURS}.mlp_block.gate_proj.*",
            f"blocks.*.{MLP}.up_proj.*": f"{OURS}.mlp_block.up_proj.*",
        }
    ),
)

GRIFFIN = Layout(
    architecture="RecurrentGemmaForCausalLM",
    storage=TorchFiles(pattern="*.pt", name="model.pt"),
    steps=STEPS,
    infer=_infer,
    marks=("embedder.input_embedding", f"{RECURRENT}.rg_lru.a_param"),
    files={"tokenizer.model": "tokenizer.model"},
)
