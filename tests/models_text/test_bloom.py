"""BLOOM passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    BloomConfig,
    BloomForCausalLM,
    BloomForQuestionAnswering,
    BloomForSequenceClassification,
    BloomForTokenClassification,
    BloomModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "n_layer": 2,
    "n_head": 4,
    "pad_token_id": 3,
}


class TestBloom(CausalLMConformance):
    config_class = BloomConfig
    model_classes = (
        BloomModel,
        BloomForCausalLM,
        BloomForSequenceClassification,
        BloomForTokenClassification,
        BloomForQuestionAnswering,
    )
    sizes = SIZES
