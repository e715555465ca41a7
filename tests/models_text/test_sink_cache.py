"""The cache of attention sinks against the reference library's, and beyond what that can do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_text.llama_sizes import SIZES

import dovetail
from dovetail import CohereConfig, CohereForCausalLM, LlamaConfig, LlamaForCausalLM, SinkCache
from dovetail.testing import seeded
from dovetail.testing.subject import fill

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/generation/sinks.json").read_text())


def load_calls() -> Any:
    spec = importlib.util.spec_from_file_location("cache_calls", ROOT / "scripts/golden/caches.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


calls = load_calls()


@pytest.mark.parametrize("case", calls.STEPS)
@pytest.mark.parametrize("name", calls.MODELS)
def test_logits_are_those_of_the_reference(name: str, case: str) -> None:
    model = calls.build(dovetail, seeded, name)
    found = torch.tensor(calls.logits(dovetail, seeded, model, case))
    expected = torch.tensor(GOLDEN[name]["steps"][case])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", calls.MODELS)
def test_texts_are_those_of_the_reference(name: str) -> None:
    model = calls.build(dovetail, seeded, name)
    assert calls.text(dovetail, seeded, model) == GOLDEN[name]["text"]


def build(kind: Any, config: Any) -> Any:
    model = kind(config).eval()
    fill(model)
    return model


@pytest.mark.parametrize(
    ("kind", "config_class"), [(LlamaForCausalLM, LlamaConfig), (CohereForCausalLM, CohereConfig)]
)
@torch.no_grad()
def test_kept_keys_are_as_if_they_had_been_read_there(kind: Any, config_class: Any) -> None:
    """In one layer keys depend on tokens and positions alone; Cohere's pairs are neighbours."""
    model = build(kind, config_class(**SIZES | {"num_hidden_layers": 1}))
    window, sinks, length = 8, 2, 20
    text = torch.randint(5, 99, (2, length), generator=torch.Generator().manual_seed(0))
    cache = SinkCache(window, sinks)
    model(text[:, :window], past_key_values=cache)
    for index in range(window, length):
        position = torch.tensor([window - 1])
        model(
            text[:, index : index + 1],
            past_key_values=cache,
            position_ids=position[None],
            cache_position=position,
        )
    fresh = SinkCache(window + 1, sinks)
    model(torch.cat((text[:, :sinks], text[:, sinks - window :]), 1), past_key_values=fresh)
    for found, expected in zip(cache[0], fresh[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (cache.get_seq_length(), cache.seen_tokens, len(cache)) == (window, length, 1)


@torch.no_grad()
def test_tokens_that_come_at_once_do_not_see_the_future() -> None:
    model = build(LlamaForCausalLM, LlamaConfig(**SIZES))
    text = torch.randint(5, 99, (1, 14), generator=torch.Generator().manual_seed(0))
    other = text.clone()
    other[0, -1] = 7
    outputs = []
    for ids in (text, other):
        cache = SinkCache(9, 2)
        outputs.append([model(part, past_key_values=cache).logits for part in ids.split([7, 7], 1)])
    (first, last), (again, changed) = outputs
    assert torch.equal(first, again)
    assert torch.equal(last[:, :-1], changed[:, :-1])
    assert not torch.equal(last[:, -1], changed[:, -1])


def test_a_padded_batch_goes_beyond_the_window() -> None:
    model = build(LlamaForCausalLM, LlamaConfig(**SIZES))
    ids = torch.randint(5, 99, (2, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    options = {"max_new_tokens": 15, "do_sample": False, "eos_token_id": None}
    batch = model.generate(ids, attention_mask=mask, past_key_values=SinkCache(9, 2), **options)
    alone = model.generate(ids[1:], past_key_values=SinkCache(9, 2), **options)
    assert torch.equal(batch[1:], alone)


def test_a_text_goes_on_after_the_window_was_full() -> None:
    model = build(LlamaForCausalLM, LlamaConfig(**SIZES))
    ids = torch.randint(5, 99, (1, 6), generator=torch.Generator().manual_seed(0))
    options = {"do_sample": False, "eos_token_id": None}
    cache = SinkCache(9, 2)
    whole = model.generate(ids, past_key_values=SinkCache(9, 2), max_new_tokens=16, **options)
    first = model.generate(ids, past_key_values=cache, max_new_tokens=10, **options)
    again = model.generate(first, past_key_values=cache, max_new_tokens=6, **options)
    assert torch.equal(again, whole)


def test_impossible_windows_and_steps_back() -> None:
    for window, sinks in ((4, 4), (4, -1)):
        with pytest.raises(ValueError, match=f"num_sink_tokens={sinks} and window_length=4"):
            SinkCache(window, sinks)
    cache, states = SinkCache(4, 1), torch.zeros(1, 1, 1, 4)
    for _ in range(6):
        cache.update(states, states, 0)
    with pytest.raises(ValueError, match="holds 4 of 6 positions cannot go back to 5"):
        cache.crop(-1)
    cache.crop(0)
    assert cache.seen_tokens == 0
