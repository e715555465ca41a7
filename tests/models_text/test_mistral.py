"""Mistral passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    MistralConfig,
    MistralForCausalLM,
    MistralForSequenceClassification,
    MistralForTokenClassification,
    MistralModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestMistral(CausalLMConformance):
    config_class = MistralConfig
    model_classes = (
        MistralModel,
        MistralForCausalLM,
        MistralForSequenceClassification,
        MistralForTokenClassification,
    )
    sizes = SIZES


class TestWindowedMistral(CausalLMConformance):
    config_class = MistralConfig
    model_classes = (MistralForCausalLM,)
    sizes = SIZES | {"sliding_window": 3}
