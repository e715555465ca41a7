"""Meta's release of OPT: metaseq's ``restored.pt``, which is fairseq's format.

The first releases hold keys, values and queries, in this order, as one projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail.mapping import Split

POSITIONS_OFFSET = 2
TABLE = {
    "decoder.project_*_dim.weight": "model.decoder.project_*.weight",
    "decoder.layer_norm.*": "model.decoder.final_layer_norm.*",
    "decoder.**": "model.decoder.**",
}


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, embedded = shapes["decoder.embed_tokens.weight"]
    return {
        "vocab_size": vocabulary,
        "word_embed_proj_dim": embedded,
        "hidden_size": shapes["decoder.layers.0.fc1.weight"][1],
        "ffn_dim": shapes["decoder.layers.0.fc1.weight"][0],
        "num_hidden_layers": shapes.count("decoder.layers.*.fc1.weight"),
        "max_position_embeddings": (shapes["decoder.embed_positions.weight"][0] - POSITIONS_OFFSET),
        "_remove_final_layer_norm": "decoder.layer_norm.weight" not in shapes
        and values.get("do_layer_norm_before", True),
    }


METASEQ = Layout(
    architecture="OPTForCausalLM",
    storage=TorchFiles(
        pattern="*.pt",
        name="restored.pt",
        state=("model",),
        settings=(("args",), ("cfg", "model")),
    ),
    steps=(Renames(TABLE),),
    fields={"decoder_attention_heads": "num_attention_heads"},
    optional={
        "decoder_normalize_before": "do_layer_norm_before",
        "activation_fn": "activation_function",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
    },
    infer=_infer,
    marks=("decoder.embed_tokens.weight", "decoder.layers.*.self_attn.q_proj.weight"),
    strangers=("encoder.layers.*.fc1.weight",),
    ignored=("decoder.version", "decoder.output_projection.weight"),
)
FUSED = replace(
    METASEQ,
    steps=(
        *(
            Split(
                f"self_attn.qkv_proj.{part}",
                tuple(f"self_attn.{letter}_proj.{part}" for letter in "kvq"),
            )
            for part in ("weight", "bias")
        ),
        *METASEQ.steps,  # type: ignore[misc] # which are no function here
    ),
    marks=("decoder.embed_tokens.weight", "decoder.layers.*.self_attn.qkv_proj.weight"),
)
