"""LAVIS's original checkpoints of InstructBLIP: BLIP-2's, whose Q-Former embeds texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Shapes
from dovetail_models_vision.blip_2.conversion import HEADS, TIED_T5, WORDS, t5_sizes, writer

NORM = "qformer.embeddings.layernorm"
VICUNA_HEAD = 128
"""Width of the heads of LLaMA's line."""


def llama_sizes(shapes: Shapes, model: str) -> dict[str, Any]:
    """The config of a LLaMA under the name `model`."""
    vocabulary, width = shapes[f"{model}.model.embed_tokens.weight"]
    return {
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes[f"{model}.model.layers.0.mlp.gate_proj.weight"][0],
        "num_hidden_layers": shapes.count(f"{model}.model.layers.*.mlp.gate_proj.weight"),
        "num_attention_heads": HEADS.get(width) or max(width // VICUNA_HEAD, 1),
        "tie_word_embeddings": False,
    }


def layouts(architecture: str) -> tuple[Layout, Layout]:
    """With Vicuna and with Flan-T5, for the class `architecture`."""
    vicuna = writer(
        architecture,
        "llm_model",
        "llm_proj",
        llama_sizes,
        NORM,
        "llm_model.model.embed_tokens.weight",
    )
    t5 = writer(architecture, "t5_model", "t5_proj", t5_sizes, NORM, WORDS[0], copies=TIED_T5)
    return vicuna, replace(t5, marks=(*t5.marks, "t5_model.shared.weight"))


VICUNA, FLAN_T5 = layouts("InstructBlipForConditionalGeneration")
