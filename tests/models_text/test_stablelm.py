"""StableLM passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    StableLmConfig,
    StableLmForCausalLM,
    StableLmForSequenceClassification,
    StableLmForTokenClassification,
    StableLmModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestStableLm(CausalLMConformance):
    config_class = StableLmConfig
    model_classes = (
        StableLmModel,
        StableLmForCausalLM,
        StableLmForSequenceClassification,
        StableLmForTokenClassification,
    )
    sizes = SIZES


class TestParallelStableLm(CausalLMConformance):
    config_class = StableLmConfig
    model_classes = (StableLmForCausalLM,)
    sizes = SIZES | {"use_parallel_residual": True, "qk_layernorm": True}
