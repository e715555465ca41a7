"""GPT-NeoX passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GPTNeoXForQuestionAnswering,
    GPTNeoXForSequenceClassification,
    GPTNeoXForTokenClassification,
    GPTNeoXModel,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "rotary_pct": 0.5,
    "pad_token_id": 0,
}


class TestGPTNeoX(CausalLMConformance):
    config_class = GPTNeoXConfig
    model_classes = (
        GPTNeoXModel,
        GPTNeoXForCausalLM,
        GPTNeoXForSequenceClassification,
        GPTNeoXForQuestionAnswering,
        GPTNeoXForTokenClassification,
    )
    sizes = SIZES


def test_files_of_newer_releases_name_the_rotation_otherwise():
    sizes = {name: value for name, value in SIZES.items() if name != "rotary_pct"}
    rope = {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
    config = GPTNeoXConfig(**sizes, rope_parameters=rope)
    assert (config.rotary_pct, config.rotary_emb_base) == (0.5, 500.0)
    again = GPTNeoXConfig.from_dict(config.to_dict())
    assert (again.partial_rotary_factor, again.rope_theta) == (0.5, 500.0)
    assert GPTNeoXConfig(**SIZES).partial_rotary_factor == 0.5
