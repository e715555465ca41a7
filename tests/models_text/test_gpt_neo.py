"""GPT-Neo passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoForQuestionAnswering,
    GPTNeoForSequenceClassification,
    GPTNeoForTokenClassification,
    GPTNeoModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_layers": 2,
    "attention_types": [[["global", "local"], 1]],
    "num_heads": 4,
    "window_size": 3,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestGPTNeo(CausalLMConformance):
    config_class = GPTNeoConfig
    model_classes = (
        GPTNeoModel,
        GPTNeoForCausalLM,
        GPTNeoForSequenceClassification,
        GPTNeoForTokenClassification,
        GPTNeoForQuestionAnswering,
    )
    sizes = SIZES
