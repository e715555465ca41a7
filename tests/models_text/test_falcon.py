"""Falcon passes the battery for decoders."""

from __future__ import annotations

import pytest

from dovetail import (
    FalconConfig,
    FalconForCausalLM,
    FalconForQuestionAnswering,
    FalconForSequenceClassification,
    FalconForTokenClassification,
    FalconModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestFalcon(CausalLMConformance):
    config_class = FalconConfig
    model_classes = (
        FalconModel,
        FalconForCausalLM,
        FalconForSequenceClassification,
        FalconForTokenClassification,
        FalconForQuestionAnswering,
    )
    sizes = SIZES


class TestGroupedFalcon(CausalLMConformance):
    config_class = FalconConfig
    model_classes = (FalconForCausalLM,)
    sizes = SIZES | {"new_decoder_architecture": True, "num_kv_heads": 2}


class TestFalconWithBiases(CausalLMConformance):
    config_class = FalconConfig
    model_classes = (FalconForCausalLM,)
    sizes = SIZES | {"alibi": True, "parallel_attn": False, "multi_query": False}


def test_layouts_that_no_falcon_has_are_refused():
    with pytest.raises(ConfigError, match="parallel_attn"):
        FalconConfig(**SIZES, new_decoder_architecture=True, parallel_attn=False)
    with pytest.raises(ConfigError, match="num_kv_heads=3"):
        FalconConfig(**SIZES, new_decoder_architecture=True, num_kv_heads=3)
