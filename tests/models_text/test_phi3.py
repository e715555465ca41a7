"""Phi-3 passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Phi3Config,
    Phi3ForCausalLM,
    Phi3ForSequenceClassification,
    Phi3ForTokenClassification,
    Phi3Model,
)
from dovetail.testing.conformance import CausalLMConformance


class TestPhi3(CausalLMConformance):
    config_class = Phi3Config
    model_classes = (
        Phi3Model,
        Phi3ForCausalLM,
        Phi3ForSequenceClassification,
        Phi3ForTokenClassification,
    )
    sizes = SIZES
