"""Gemma passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    GemmaConfig,
    GemmaForCausalLM,
    GemmaForSequenceClassification,
    GemmaForTokenClassification,
    GemmaModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestGemma(CausalLMConformance):
    config_class = GemmaConfig
    model_classes = (
        GemmaModel,
        GemmaForCausalLM,
        GemmaForSequenceClassification,
        GemmaForTokenClassification,
    )
    sizes = SIZES | {"head_dim": 16}
