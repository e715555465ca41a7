"""Mixtral passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    MixtralConfig,
    MixtralForCausalLM,
    MixtralForSequenceClassification,
    MixtralForTokenClassification,
    MixtralModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestMixtral(CausalLMConformance):
    config_class = MixtralConfig
    model_classes = (
        MixtralModel,
        MixtralForCausalLM,
        MixtralForSequenceClassification,
        MixtralForTokenClassification,
    )
    sizes = SIZES | {"num_local_experts": 4}
    unused = (r"ForSequenceClassification\..*\.experts\.",)  # two texts do not need all of them
