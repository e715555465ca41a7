"""The first release of Falcon: the Hub's tensors, with the config of code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.converting import Indexed, Layout, Renames, Shapes

NAMES = {True: "RefinedWeb", False: "RefinedWebModel"}
"""What a config calls the architecture, with the new decoder (40B) and without (7B)."""


def _infer(
    settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
) -> dict[str, Any]:
    return {"new_decoder_architecture": settings.get("model_type") == NAMES[True]}


def _restore(config: Any) -> dict[str, Any]:
    new = config.new_decoder_architecture
    architecture = "RWForCausalLM"
    settings = {"model_type": NAMES[new], "architectures": [architecture]}
    return settings | ({"n_head_kv": config.num_kv_heads} if new else {})


REFINED_WEB = Layout(
    architecture="FalconForCausalLM",
    storage=Indexed(settings_file="config.json"),
    steps=(Renames({"transformer.**": "transformer.**", "lm_head.weight": "lm_head.weight"}),),
    fields={
        "hidden_size": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
        "vocab_size": "vocab_size",
    },
    optional={
        "n_head_kv": "num_kv_heads",
        "multi_query": "multi_query",
        "parallel_attn": "parallel_attn",
        "alibi": "alibi",
        "bias": "bias",
        "layer_norm_epsilon": "layer_norm_epsilon",
        "initializer_range": "initializer_range",
        "hidden_dropout": "hidden_dropout",
        "attention_dropout": "attention_dropout",
        "bos_token_id": "bos_token_id",
        "eos_token_id": "eos_token_id",
    },
    infer=_infer,
    restore=_restore,
    marks=("transformer.h.*.self_attention.query_key_value.weight",),
    keys=("n_head", "n_layer"),
    strangers=("**.word_embeddings_layernorm.weight", "word_embeddings_layernorm.weight"),  # BLOOM
    copies={
        "transformer.word_embeddings.weight": (
            "transformer.word_embeddings.weight",
            "lm_head.weight",
        )
    },
    files={"tokenizer.json": "tokenizer.json", "tokenizer_config.json": "tokenizer_config.json"},
)
