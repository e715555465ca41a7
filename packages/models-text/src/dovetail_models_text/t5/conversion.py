"""Google's release of T5 and T5 1.1: a checkpoint of Mesh TensorFlow.

Its settings are in a file of gin's language, which is not read: sizes follow from the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TensorFlowFiles
from dovetail.mapping import Transpose

ENCODER = "encoder.block_000.layer_000.SelfAttention"
MLP = "encoder.block_000.layer_001.DenseReluDense"
ATTENTIONS = ("SelfAttention", "EncDecAttention")


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    gated = f"{MLP}.wi_0.kernel" in shapes
    width, inner = shapes[f"{ENCODER}.q"]
    heads, buckets = shapes[f"{ENCODER}.relative_attention_bias"]
    return {
        "vocab_size": shapes["shared.embedding"][0],
        "d_model": width,
        "d_kv": inner // heads,
        "d_ff": shapes[f"{MLP}.{'wi_0' if gated else 'wi'}.kernel"][1],
        "num_heads": heads,
        "num_layers": shapes.count("encoder.block_*.layer_000.SelfAttention.q"),
        "num_decoder_layers": shapes.count("decoder.block_*.layer_000.SelfAttention.q"),
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "tie_word_embeddings": "decoder.logits.kernel" not in shapes,
        "decoder_start_token_id": 0,
    }


MESH = Layout(
    architecture="T5ForConditionalGeneration",
    storage=TensorFlowFiles(),
    steps=(
        *(Transpose(f"{kind}.{letter}") for kind in ATTENTIONS for letter in "qkvo"),
        Transpose("relative_attention_bias"),
        Transpose("kernel"),
        Renames(
            {
                "shared.embedding": "shared.weight",
                "decoder.logits.kernel": "lm_head.weight",
                "*coder.final_layer_norm.scale": "*coder.final_layer_norm.weight",
                "*coder.block_*.layer_*.layer_norm.scale": (
                    "*coder.block.*.layer.*.layer_norm.weight"
                ),
                "*coder.block_*.layer_*.DenseReluDense.*.kernel": (
                    "*coder.block.*.layer.*.DenseReluDense.*.weight"
                ),
                "*coder.block_*.layer_*.*Attention.*": (
                    "*coder.block.*.layer.*.*Attention.*.weight"
                ),
            },
            width=3,
        ),
    ),
    infer=_infer,
    marks=("shared.embedding", "encoder.block_000.layer_000.SelfAttention.q"),
    ignored=("global_step", "**_slot_*"),
    files={"sentencepiece.model": "spiece.model"},
)
