"""StarCoder 2 passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Starcoder2Config,
    Starcoder2ForCausalLM,
    Starcoder2ForSequenceClassification,
    Starcoder2ForTokenClassification,
    Starcoder2Model,
)
from dovetail.testing.conformance import CausalLMConformance


class TestStarcoder2(CausalLMConformance):
    config_class = Starcoder2Config
    model_classes = (
        Starcoder2Model,
        Starcoder2ForCausalLM,
        Starcoder2ForSequenceClassification,
        Starcoder2ForTokenClassification,
    )
    sizes = SIZES
