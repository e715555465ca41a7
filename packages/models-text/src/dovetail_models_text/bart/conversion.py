"""The checkpoints of fairseq: a ``model.pt`` with tensors and the arguments of its training.

`fairseq` makes the layout of BART and of the translation models that fairseq trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles, Zeros
from dovetail.mapping import Step

STORAGE = TorchFiles(
    pattern="*.pt", name="model.pt", state=("model",), settings=(("args",), ("cfg", "model"))
)
STACKS = {
    "encoder.**": "model.encoder.**",
    "decoder.output_projection.weight": "lm_head.weight",
    "decoder.**": "model.decoder.**",
}
EMBEDDINGS = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
IGNORED = ("*coder.version", "*coder.embed_positions._float_tensor")
LOGITS_BIAS = Zeros(lambda config: {"final_logits_bias": (1, config.vocab_size)})
LEARNED_OFFSET = 2
"""Rows of the learned positions which no position uses."""


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    inferred = {
        "vocab_size": shapes["decoder.embed_tokens.weight"][0],
        "scale_embedding": not settings.get("no_scale_embedding", False),
    }
    positions = "encoder.embed_positions.weight"
    if positions in shapes:
        inferred["max_position_embeddings"] = shapes[positions][0] - LEARNED_OFFSET
    return inferred


def _restore(config: Any) -> dict[str, Any]:
    return {
        "no_scale_embedding": not config.scale_embedding,
        "share_all_embeddings": True,
        "encoder_normalize_before": config.pre_norm,
        "decoder_normalize_before": config.pre_norm,
        "layernorm_embedding": config.embedding_norm,
        "encoder_learned_pos": config.positions == "learned",
        "decoder_learned_pos": config.positions == "learned",
    }


def fairseq(
    architecture: str, marks: tuple[str, ...], strangers: tuple[str, ...], *steps: Step
) -> Layout:
    """The layout of one of fairseq's encoder-decoders."""
    return Layout(
        architecture=architecture,
        storage=STORAGE,
        steps=(Renames(STACKS), *steps),
        fields={
            "encoder_embed_dim": "d_model",
            "encoder_layers": "encoder_layers",
            "encoder_ffn_embed_dim": "encoder_ffn_dim",
            "encoder_attention_heads": "encoder_attention_heads",
            "decoder_layers": "decoder_layers",
            "decoder_ffn_embed_dim": "decoder_ffn_dim",
            "decoder_attention_heads": "decoder_attention_heads",
        },
        optional={
            "activation_fn": "activation_function",
            "dropout": "dropout",
            "attention_dropout": "attention_dropout",
            "activation_dropout": "activation_dropout",
            "encoder_layerdrop": "encoder_layerdrop",
            "decoder_layerdrop": "decoder_layerdrop",
            "max_source_positions": "max_position_embeddings",
        },
        infer=_infer,
        restore=_restore,
        marks=("encoder.layers.*.fc1.weight", "decoder.embed_tokens.weight", *marks),
        strangers=strangers,
        copies={"model.shared.weight": (*EMBEDDINGS, "lm_head.weight")},
        ignored=IGNORED,
    )


FAIRSEQ = fairseq(
    "BartForConditionalGeneration",
    ("encoder.layernorm_embedding.weight",),
    ("encoder.layer_norm.weight", "classification_heads.**"),
    LOGITS_BIAS,
)
MNLI = replace(
    FAIRSEQ,
    architecture="BartForSequenceClassification",
    steps=(
        Renames(
            {
                "classification_heads.mnli.**": "classification_head.**",
                "encoder.**": "model.encoder.**",
                "decoder.**": "model.decoder.**",
            }
        ),
    ),
    marks=("encoder.layernorm_embedding.weight", "classification_heads.mnli.dense.weight"),
    strangers=("encoder.layer_norm.weight",),
    copies={"model.shared.weight": EMBEDDINGS},
    ignored=(*IGNORED, "decoder.output_projection.weight"),
)
