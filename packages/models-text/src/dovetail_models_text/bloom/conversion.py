"""BigScience's checkpoints of BLOOM, by Megatron-DeepSpeed: a file for each layer and rank.

They hold no settings. Sizes follow from the shapes, and the number of heads from the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.converting import Layout, PipelineFiles, Renames, Shapes
from dovetail.converting.storage import MEAN
from dovetail.mapping import Step

HEADS = {1024: 16, 1536: 16, 2048: 16, 2560: 32, 4096: 32, 14336: 112}
"""Heads by width, in the released models."""
COPIED = (
    *(f"{norm}.{part}" for norm in ("input_layernorm", "norm") for part in ("weight", "bias")),
    *(f"post_attention_layernorm.{part}" for part in ("weight", "bias")),
    "self_attention.dense.bias",
    "mlp.dense_4h_to_h.bias",
    "weight",
    "bias",
)
"""What every rank has; the last two, after all others, are the final norm's."""
CUT_ALONG_INPUT = ("self_attention.dense.weight", "mlp.dense_4h_to_h.weight")
CUT = (
    "word_embeddings.weight",
    *(f"self_attention.query_key_value.{part}" for part in ("weight", "bias")),
    *(f"mlp.dense_h_to_4h.{part}" for part in ("weight", "bias")),
)
BLOCKS = ("input_layernorm", "self_attention", "post_attention_layernorm", "mlp")


def _steps(config: Any) -> Sequence[Step]:
    embedding, last = "-2.word_embeddings", config.n_layer + 1
    ours = "transformer.word_embeddings"
    return (
        Renames(
            {
                f"{embedding}.weight": f"{ours}.weight",
                f"{embedding}.norm.*": f"{ours}_layernorm.*",
                f"{last}.weight": "transformer.ln_f.weight",
                f"{last}.bias": "transformer.ln_f.bias",
                **{f"*.{block}.**": f"transformer.h.*.{block}.**" for block in BLOCKS},
            }
        ),
    )


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, width = shapes["-2.word_embeddings.weight"]
    heads = {} if "n_head" in values or width not in HEADS else {"n_head": HEADS[width]}
    layers = shapes.count("*.self_attention.dense.weight")
    return {"vocab_size": vocabulary, "hidden_size": width, "n_layer": layers, **heads}


MEGATRON = Layout(
    architecture="BloomForCausalLM",
    storage=PipelineFiles(
        first=3,
        dims=(
            *((name, 1) for name in CUT_ALONG_INPUT),
            *((name, 0) for name in CUT),
            *((name, MEAN) for name in COPIED),
        ),
        settings_file="config.json",
    ),
    steps=_steps,
    optional={"n_head": "n_head"},
    infer=_infer,
    marks=("-2.word_embeddings.norm.weight", "0.self_attention.query_key_value.weight"),
)
