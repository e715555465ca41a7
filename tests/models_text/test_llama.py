"""Llama passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForQuestionAnswering,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    LlamaModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


class TestLlama(CausalLMConformance):
    config_class = LlamaConfig
    model_classes = (
        LlamaModel,
        LlamaForCausalLM,
        LlamaForSequenceClassification,
        LlamaForTokenClassification,
        LlamaForQuestionAnswering,
    )
    sizes = SIZES


class TestTiedLlama(CausalLMConformance):
    config_class = LlamaConfig
    model_classes = (LlamaForCausalLM,)
    sizes = SIZES | {"tie_word_embeddings": True}
