"""``generate`` with every cache: by name, given, continued, and read in parts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.core.cache_kinds import CLOSE, EXACT, HYBRID, PLAIN, ROWS, WINDOWS, model_for
from tests.core.decoder import some_ids

from dovetail import CacheDeclaration, GenerationConfig, registry
from dovetail.caches import (
    Cache,
    DynamicCache,
    HybridCache,
    OffloadedCache,
    OffloadedStaticCache,
    QuantizedCacheConfig,
    QuantoQuantizedCache,
    SinkCache,
    SlidingWindowCache,
    StaticCache,
    StaticCacheConfig,
)
from dovetail.errors import GenerationError

OPTIONS: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None}
DECODERS = {name: case for name, case in EXACT.items() if not name.startswith("encoder")}
NAMED: dict[str, tuple[Any, dict[str, Any] | None, type[Cache]]] = {
    "dynamic": (HYBRID, None, DynamicCache),
    "static": (PLAIN, None, StaticCache),
    "static of a size": (PLAIN, {"batch_size": ROWS, "max_cache_len": 30}, StaticCache),
    "sliding_window": (WINDOWS, None, SlidingWindowCache),
    "hybrid": (HYBRID, None, HybridCache),
    "offloaded": (PLAIN, None, OffloadedCache),
    "offloaded_static": (PLAIN, None, OffloadedStaticCache),
    "quantized": (PLAIN, {"q_group_size": 8, "nbits": 8}, QuantoQuantizedCache),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_cache_is_chosen_by_name(name: str):
    config, settings, kind = NAMED[name]
    model, ids = model_for(config), some_ids(ROWS, 6)
    expected = model.generate(ids, use_cache=False, **OPTIONS)
    output = model.generate(
        ids,
        cache_implementation=name.split()[0],
        cache_config=settings,
        return_dict_in_generate=True,
        **OPTIONS,
    )
    assert torch.equal(output.sequences, expected)
    assert type(output.past_key_values) is kind
    assert output.past_key_values.seen_tokens == 13


def test_a_plugin_adds_a_cache_and_a_backend():
    def build(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
        assert (rows, length) == (ROWS, 14)
        return SinkCache(length + 1, 2)

    model, ids = model_for(PLAIN), some_ids(ROWS, 6)
    expected = model.generate(ids, **OPTIONS)
    for name, given in (
        ("sinks", {"cache_implementation": "sinks", "cache_config": {"anything": 1}}),
        (
            "quantized/acme",
            {"cache_implementation": "quantized", "cache_config": {"backend": "acme"}},
        ),
    ):
        registry.caches().add(CacheDeclaration(name, build))
        try:
            assert torch.equal(model.generate(ids, **given, **OPTIONS), expected)
        finally:
            registry.caches().remove(name)
    with pytest.raises(GenerationError, match="cache_implementation='sinks'"):
        model.generate(ids, cache_implementation="sinks", **OPTIONS)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 99])
@pytest.mark.parametrize("name", DECODERS)
def test_a_prompt_is_read_in_parts(name: str, size: int):
    config, build = DECODERS[name]
    model, ids = model_for(config), some_ids(ROWS, 6)
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    expected = model.generate(ids, attention_mask=mask, **OPTIONS)
    cache, lengths = build(config), []
    hook = model.model.register_forward_pre_hook(
        lambda module, args: lengths.append(args[0].shape[1])
    )
    found = model.generate(
        ids, attention_mask=mask, past_key_values=cache, prefill_chunk_size=size, **OPTIONS
    )
    hook.remove()
    assert torch.equal(found, expected)
    parts = [size] * (5 // size) + [6 - 5 // size * size]
    assert lengths == parts + [1] * 7


@pytest.mark.parametrize(
    "settings", [{"num_beams": 3}, {"do_sample": True, "top_k": 5}, {"prompt_lookup_num_tokens": 2}]
)
def test_every_strategy_begins_after_the_parts(settings: dict[str, Any]):
    model, ids = model_for(PLAIN), some_ids(1, 9)
    results = []
    for size in (None, 4):
        torch.manual_seed(0)
        results.append(model.generate(ids, prefill_chunk_size=size, **OPTIONS | settings))
    assert torch.equal(*results)


def test_embeddings_are_read_in_parts():
    model, ids = model_for(PLAIN), some_ids(ROWS, 7)
    embeds = model.get_input_embeddings()(ids)
    expected = model.generate(inputs_embeds=embeds, **OPTIONS)
    assert torch.equal(
        model.generate(inputs_embeds=embeds, prefill_chunk_size=3, **OPTIONS), expected
    )


@pytest.mark.parametrize("name", DECODERS | CLOSE)
def test_a_text_goes_on_from_the_cache_of_an_earlier_call(name: str):
    config, build = (DECODERS | CLOSE)[name]
    model, cache = model_for(config), build(config)
    first = model.generate(some_ids(ROWS, 5), past_key_values=cache, **OPTIONS | {"max_length": 9})
    assert cache.seen_tokens >= 8
    longer = torch.cat((first, some_ids(ROWS, 3)), 1)
    options = OPTIONS | {"max_new_tokens": 3, "attention_mask": torch.ones_like(longer)}
    found = model.generate(longer, past_key_values=cache, **options)
    expected = model.generate(longer, use_cache=False, **options)
    if name in DECODERS:
        assert torch.equal(found, expected)
    assert cache.seen_tokens == longer.shape[1] + 2


def test_one_prompt_is_read_once_for_many_texts():
    model, prompt = model_for(PLAIN), some_ids(1, 6)
    cache = DynamicCache()
    with torch.no_grad():
        model(prompt, past_key_values=cache)
    for end in (some_ids(1, 3), some_ids(1, 4).flip(1)):
        text = torch.cat((prompt, end), 1)
        expected = model.generate(text, **OPTIONS)
        found = model.generate(text, past_key_values=copy.deepcopy(cache), **OPTIONS)
        assert torch.equal(found, expected)
    batch = torch.cat((prompt.expand(3, -1), some_ids(3, 2)), 1)
    expected = model.generate(batch, **OPTIONS)
    with pytest.raises(GenerationError, match="layer 0 holds 1 rows and there are 3"):
        model.generate(batch, past_key_values=copy.deepcopy(cache), **OPTIONS)
    cache.batch_repeat_interleave(3)
    assert torch.equal(model.generate(batch, past_key_values=cache, **OPTIONS), expected)


def test_a_given_cache_comes_before_the_models_own_choice():
    model, ids = model_for(HYBRID), some_ids(ROWS, 6)
    model.generation_config.cache_implementation = "hybrid"
    expected = model.generate(ids, **OPTIONS)
    cache = DynamicCache()
    assert torch.equal(model.generate(ids, past_key_values=cache, **OPTIONS), expected)
    assert cache.seen_tokens == 13


def test_settings_of_caches_are_saved_and_loaded(tmp_path: Any):
    config = GenerationConfig(cache_implementation="quantized", cache_config={"nbits": 2})
    assert config.cache_config == QuantizedCacheConfig(nbits=2)
    config.save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path) == config
    assert GenerationConfig.from_pretrained(tmp_path).cache_config == config.cache_config
    size = GenerationConfig(
        cache_implementation="static", cache_config={"batch_size": 1, "max_cache_len": 8}
    )
    assert size.cache_config == StaticCacheConfig(1, 8)
    assert size.to_dict()["cache_config"] == {
        "batch_size": 1,
        "max_cache_len": 8,
        "device": "cpu",
    }
    with pytest.raises(GenerationError, match=r"has no setting 'nbit'\. Did you mean 'nbits'"):
        GenerationConfig(cache_implementation="quantized", cache_config={"nbit": 2})
    with pytest.warns(UserWarning, match="prefill_chunk_size=3 has no effect: use_cache is False"):
        GenerationConfig(use_cache=False, prefill_chunk_size=3)
