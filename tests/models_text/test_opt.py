"""OPT passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    OPTConfig,
    OPTForCausalLM,
    OPTForQuestionAnswering,
    OPTForSequenceClassification,
    OPTModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "ffn_dim": 37,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


class TestOPT(CausalLMConformance):
    config_class = OPTConfig
    model_classes = (
        OPTModel,
        OPTForCausalLM,
        OPTForSequenceClassification,
        OPTForQuestionAnswering,
    )
    sizes = SIZES
