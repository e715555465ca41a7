"""Qwen 2 passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen2ForTokenClassification,
    Qwen2Model,
)
from dovetail.testing.conformance import CausalLMConformance


class TestQwen2(CausalLMConformance):
    config_class = Qwen2Config
    model_classes = (
        Qwen2Model,
        Qwen2ForCausalLM,
        Qwen2ForSequenceClassification,
        Qwen2ForTokenClassification,
    )
    sizes = SIZES


class TestWindowedQwen2(CausalLMConformance):
    config_class = Qwen2Config
    model_classes = (Qwen2ForCausalLM,)
    sizes = SIZES | {
        "use_sliding_window": True,
        "sliding_window": 3,
        "max_window_layers": 1,
    }
