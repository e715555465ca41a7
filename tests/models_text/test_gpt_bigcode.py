"""GPT-BigCode passes the battery for decoders."""

from __future__ import annotations

import pytest

from dovetail import (
    GPTBigCodeConfig,
    GPTBigCodeForCausalLM,
    GPTBigCodeForSequenceClassification,
    GPTBigCodeForTokenClassification,
    GPTBigCodeModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestGPTBigCode(CausalLMConformance):
    config_class = GPTBigCodeConfig
    model_classes = (
        GPTBigCodeModel,
        GPTBigCodeForCausalLM,
        GPTBigCodeForSequenceClassification,
        GPTBigCodeForTokenClassification,
    )
    sizes = SIZES


def test_an_encoder_is_refused():
    with pytest.raises(ConfigError, match="encoder"):
        GPTBigCodeConfig(**SIZES, add_cross_attention=True)


def test_files_of_newer_releases_count_keys():
    content = GPTBigCodeConfig(**SIZES).to_dict() | {"num_key_value_heads": 1}
    assert GPTBigCodeConfig.from_dict(content).num_key_value_heads == 1
