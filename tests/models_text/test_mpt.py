"""MPT passes the battery for decoders."""

from __future__ import annotations

import pytest

from dovetail import (
    MptConfig,
    MptForCausalLM,
    MptForQuestionAnswering,
    MptForSequenceClassification,
    MptForTokenClassification,
    MptModel,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_seq_len": 64,
    "attn_config": {"attn_pdrop": 0.1},
    "use_cache": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestMpt(CausalLMConformance):
    config_class = MptConfig
    model_classes = (
        MptModel,
        MptForCausalLM,
        MptForSequenceClassification,
        MptForTokenClassification,
        MptForQuestionAnswering,
    )
    sizes = SIZES


def test_unknown_attention_is_refused():
    with pytest.raises(ConfigError, match="attn_type"):
        MptConfig(attn_config={"attn_type": "none"})
