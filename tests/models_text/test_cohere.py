"""Command R passes the battery for decoders."""

from __future__ import annotations

from tests.models_text.llama_sizes import SIZES

from dovetail import (
    CohereConfig,
    CohereForCausalLM,
    CohereModel,
)
from dovetail.testing.conformance import CausalLMConformance


class TestCohere(CausalLMConformance):
    config_class = CohereConfig
    model_classes = (
        CohereModel,
        CohereForCausalLM,
    )
    sizes = SIZES


class TestNormedCohere(CausalLMConformance):
    config_class = CohereConfig
    model_classes = (CohereForCausalLM,)
    sizes = SIZES | {"use_qk_norm": True}
