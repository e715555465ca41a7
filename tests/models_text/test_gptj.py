"""GPT-J passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    GPTJConfig,
    GPTJForCausalLM,
    GPTJForQuestionAnswering,
    GPTJForSequenceClassification,
    GPTJModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "rotary_dim": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestGPTJ(CausalLMConformance):
    config_class = GPTJConfig
    model_classes = (
        GPTJModel,
        GPTJForCausalLM,
        GPTJForSequenceClassification,
        GPTJForQuestionAnswering,
    )
    sizes = SIZES
