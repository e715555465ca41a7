"""Google's release of Pegasus: a TensorFlow checkpoint without settings.

Attention has no biases there, positions are computed, and sizes follow from the shapes: a head has
64 channels in every release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from dovetail.converting import Layout, Renames, Reversed, Shapes, TensorFlowFiles, Zeros
from dovetail.mapping import Drop, Transpose

HEAD_DIM = 64
ATTENTIONS = {"self_attention": "self_attn", "memory_attention": "encoder_attn"}
PROJECTIONS = {name: name for name in ("q_proj", "k_proj", "v_proj")} | {"output_proj": "out_proj"}
NORM = {"gamma": "weight", "beta": "bias"}


def _table() -> Iterator[tuple[str, str]]:
    theirs, ours = "*coder.layer_*", "model.*coder.layers.*"
    yield "embeddings.weights", "model.shared.weight"
    for old, new in NORM.items():
        yield f"*coder.LayerNorm.{old}", f"model.*coder.layer_norm.{new}"
        yield f"{theirs}.ffn.LayerNorm.{old}", f"{ours}.final_layer_norm.{new}"
        for kind, name in ATTENTIONS.items():
            yield f"{theirs}.{kind}.LayerNorm.{old}", f"{ours}.{name}_layer_norm.{new}"
    for kind, name in ATTENTIONS.items():
        for old, new in PROJECTIONS.items():
            yield f"{theirs}.{kind}.{old}.kernel", f"{ours}.{name}.{new}.weight"
    for dense, name in (("dense", "fc1"), ("dense_1", "fc2")):
        yield f"{theirs}.ffn.{dense}.kernel", f"{ours}.{name}.weight"
        yield f"{theirs}.ffn.{dense}.bias", f"{ours}.{name}.bias"


def _zeros(config: Any) -> dict[str, tuple[int, ...]]:
    biases = {
        f"model.{stack}.layers.{layer}.{kind}.{name}.bias": (config.d_model,)
        for stack, layers, kinds in (
            ("encoder", config.encoder_layers, ("self_attn",)),
            ("decoder", config.decoder_layers, ("self_attn", "encoder_attn")),
        )
        for layer in range(layers)
        for kind in kinds
        for name in PROJECTIONS.values()
    }
    return {"final_logits_bias": (1, config.vocab_size), **biases}


def _positions(config: Any) -> dict[str, Tensor]:
    from dovetail_models_text.bart.modeling import position_embedding

    table: Any = position_embedding(config).weight
    return {
        f"model.{stack}.embed_positions.weight": table.detach() for stack in ("encoder", "decoder")
    }


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    vocabulary, width = shapes["embeddings.weights"]
    inner = shapes["encoder.layer_0.ffn.dense.kernel"][1]
    heads = values.get("encoder_attention_heads", width // HEAD_DIM)
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "encoder_layers": shapes.count("encoder.layer_*.ffn.dense.kernel"),
        "decoder_layers": shapes.count("decoder.layer_*.ffn.dense.kernel"),
        "encoder_ffn_dim": inner,
        "decoder_ffn_dim": inner,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
    }


TENSORFLOW = Layout(
    architecture="PegasusForConditionalGeneration",
    storage=TensorFlowFiles(),
    steps=(
        Transpose("kernel"),
        Renames(dict(_table())),
        Zeros(_zeros),
        Reversed(Drop("embed_positions.weight", restore=_positions)),
    ),
    constants={"activation_function": "relu", "scale_embedding": True},
    infer=_infer,
    marks=("embeddings.weights", "decoder.layer_*.memory_attention.q_proj.kernel"),
    ignored=("global_step", "**.Adafactor*", "**_slot_*"),
    files={"c4.unigram.newline.10pct.96000.model": "spiece.model"},
)
