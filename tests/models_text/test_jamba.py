"""Jamba passes the battery for decoders: some layers attend, the others have states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_text.llama_sizes import SIZES

from dovetail import (
    JambaConfig,
    JambaForCausalLM,
    JambaForSequenceClassification,
    JambaModel,
    MambaCache,
)
from dovetail.caches import DynamicLayer, StateLayer
from dovetail.errors import ConfigError, GenerationError
from dovetail.testing.conformance import CausalLMConformance

HYBRID = SIZES | {
    "num_hidden_layers": 3,
    "attn_layer_period": 3,
    "attn_layer_offset": 1,
    "num_experts": 4,
    "mamba_d_state": 4,
}


class TestJamba(CausalLMConformance):
    config_class = JambaConfig
    model_classes = (JambaModel, JambaForCausalLM, JambaForSequenceClassification)
    sizes = HYBRID
    unused = (r"ForSequenceClassification\..*\.experts\.",)  # two texts do not need all of them


def model() -> Any:
    return TestJamba().build(JambaForCausalLM)


def prompt(length: int) -> torch.Tensor:
    return torch.arange(length)[None] * 7 % 90 + 5


def test_each_layer_has_the_cache_it_needs():
    jamba, ids = model(), prompt(9)
    kinds = [StateLayer, DynamicLayer, StateLayer]
    with torch.no_grad():
        expected = jamba(ids).logits
        for cache in (None, MambaCache(jamba.config, 1, torch.float32)):
            output = jamba(ids[:, :4], past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            assert [type(layer) for layer in cache.layers] == kinds
            assert torch.allclose(
                jamba(ids[:, 4:], past_key_values=cache).logits, expected[:, 4:], atol=1e-4
            )
            assert cache.get_seq_length() == cache.get_seq_length(1) == 9


@pytest.mark.parametrize("cache", [None, "mamba", "static", "hybrid"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_states_and_keys_follow_their_texts(cache: str | None, options: dict[str, Any]):
    jamba = model()
    ids = torch.cat((prompt(6), prompt(6).flip(1)))
    options = {"max_new_tokens": 6, "do_sample": False, "attention_mask": ids > 0} | options
    expected = jamba.generate(ids, use_cache=False, **options)
    assert jamba.generate(ids, cache_implementation=cache, **options).equal(expected)


def test_guesses_are_refused():
    with pytest.raises(GenerationError, match="JambaForCausalLM remembers the text in recurrent"):
        model().generate(prompt(5), prompt_lookup_num_tokens=3)


def test_kinds_of_layers_follow_from_periods():
    config = JambaConfig(**HYBRID | {"num_hidden_layers": 6})
    assert config.layers_block_type == ["mamba", "attention", "mamba"] * 2
    assert config.layers_num_experts == [1, 4] * 3
    with pytest.raises(ConfigError, match="num_experts_per_tok=5 exceeds"):
        JambaConfig(**HYBRID, num_experts_per_tok=5)


@pytest.mark.parametrize("changes", [{"attn_layer_period": 1, "attn_layer_offset": 0}, {}])
def test_one_kind_of_layer_is_enough(changes: dict[str, int]):
    changes = changes or {"attn_layer_period": 9, "attn_layer_offset": 8}
    jamba, ids = TestJamba().build(JambaForCausalLM, **changes), prompt(7)
    options = {"max_new_tokens": 4, "do_sample": False}
    assert jamba.generate(ids, **options).equal(jamba.generate(ids, use_cache=False, **options))
