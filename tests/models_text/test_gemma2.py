"""Gemma 2 passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma2ForSequenceClassification,
    Gemma2ForTokenClassification,
    Gemma2Model,
)
from dovetail.testing.conformance import CausalLMConformance


class TestGemma2(CausalLMConformance):
    config_class = Gemma2Config
    model_classes = (
        Gemma2Model,
        Gemma2ForCausalLM,
        Gemma2ForSequenceClassification,
        Gemma2ForTokenClassification,
    )
    sizes = SIZES | {"head_dim": 16, "sliding_window": 3, "attn_logit_softcapping": 2.0}
