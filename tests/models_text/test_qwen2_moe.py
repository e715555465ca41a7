"""Qwen 2 with experts passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen2MoeForSequenceClassification,
    Qwen2MoeForTokenClassification,
    Qwen2MoeModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestQwen2Moe(CausalLMConformance):
    config_class = Qwen2MoeConfig
    model_classes = (
        Qwen2MoeModel,
        Qwen2MoeForCausalLM,
        Qwen2MoeForSequenceClassification,
        Qwen2MoeForTokenClassification,
    )
    sizes = SIZES | {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 40,
    }
    unused = (r"ForSequenceClassification\..*\.experts\.",)  # two texts do not need all of them
