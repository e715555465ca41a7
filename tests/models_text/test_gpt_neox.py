"""GPT-NeoX passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GPTNeoXForQuestionAnswering,
    GPTNeoXForSequenceClassification,
    GPTNeoXForTokenClassification,
    GPTNeoXModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "rotary_pct": 0.5,
    "pad_token_id": 0,
}


class TestGPTNeoX(CausalLMConformance):
    config_class = GPTNeoXConfig
    model_classes = (
        GPTNeoXModel,
        GPTNeoXForCausalLM,
        GPTNeoXForSequenceClassification,
        GPTNeoXForQuestionAnswering,
        GPTNeoXForTokenClassification,
    )
    sizes = SIZES
