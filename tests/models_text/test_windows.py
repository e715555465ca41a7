"""Sliding windows: what a layer cannot see may be forgotten, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch._dynamo.testing
from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Gemma2Config,
    Gemma2ForCausalLM,
    HybridCache,
    LlamaConfig,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    SlidingWindowCache,
)
from dovetail.caches import layer_windows
from dovetail.errors import ConfigError
from dovetail.testing.subject import fill

WINDOW, LENGTH = 4, 11


def build(kind: Any) -> Any:
    config_class = {MistralForCausalLM: MistralConfig, Gemma2ForCausalLM: Gemma2Config}[kind]
    model = kind(config_class(**SIZES, head_dim=8, sliding_window=WINDOW)).eval()
    fill(model)
    return model


@pytest.fixture(params=["mistral-sliding", "mistral-hybrid", "gemma2-hybrid"])
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, str]:
    """A model, its cache, and the name of that in generation."""
    return {
        "mistral-sliding": (build(MistralForCausalLM), SlidingWindowCache, "sliding_window"),
        "mistral-hybrid": (build(MistralForCausalLM), HybridCache, "hybrid"),
        "gemma2-hybrid": (build(Gemma2ForCausalLM), HybridCache, "hybrid"),
    }[request.param]


def ids(rows: int = 2, length: int = LENGTH) -> torch.Tensor:
    return torch.randint(5, 99, (rows, length), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sizes", [[1] * LENGTH, [3, 5, 3], [LENGTH - 1, 1]])
@torch.no_grad()
def test_steps_equal_one_pass(case: tuple[Any, Any, str], sizes: list[int]) -> None:
    model, cache_class, _ = case
    text = ids()
    expected = model(text, use_cache=False).logits
    cache = cache_class(model.config, len(text), LENGTH)
    outputs = [model(part, past_key_values=cache).logits for part in text.split(sizes, 1)]
    assert torch.allclose(torch.cat(outputs, 1), expected, atol=1e-5)
    assert cache.get_seq_length() == LENGTH
    windows = layer_windows(model.config)
    held = [keys.shape[2] for keys in cache.key_cache]
    assert held == [WINDOW if window else LENGTH for window in windows]


@torch.no_grad()
def test_padded_steps_equal_each_text_alone(case: tuple[Any, Any, str]) -> None:
    model, cache_class, _ = case
    text, mask = ids(), torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = cache_class(model.config, 2, LENGTH)
    for start, end in ((0, 6), (6, 7), (7, LENGTH)):
        output = model(
            text[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=positions[:, start:end],
            past_key_values=cache,
        )
    alone = model(text[1:, 3:], use_cache=False).logits
    assert torch.allclose(output.logits[1], alone[0, -4:], atol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_does_not_depend_on_the_cache(case: tuple[Any, Any, str], beams: int) -> None:
    model, _, name = case
    text, mask = ids(length=6), torch.ones(2, 6, dtype=torch.long)
    mask[0, :2] = 0
    options = {"max_new_tokens": 8, "num_beams": beams, "attention_mask": mask, "do_sample": False}
    expected = model.generate(text, cache_implementation="dynamic", **options)
    assert torch.equal(model.generate(text, cache_implementation=name, **options), expected)


def test_gemma2_generates_with_a_hybrid_cache() -> None:
    model = build(Gemma2ForCausalLM)
    assert model.generation_config.cache_implementation == "hybrid"
    output = model.generate(ids(), max_new_tokens=2, return_dict_in_generate=True)
    assert isinstance(output.past_key_values, HybridCache)


@torch.no_grad()
def test_going_back_beyond_what_is_kept_is_refused() -> None:
    model = build(MistralForCausalLM)
    cache = SlidingWindowCache(model.config)
    model(ids(length=3), past_key_values=cache)
    cache.crop(-1)
    assert cache.get_seq_length() == 2
    model(ids(length=5), past_key_values=cache)
    with pytest.raises(ValueError, match="cannot go back by 2"):
        cache.crop(5)
    cache.reset()
    assert cache.get_seq_length() == 0


def test_a_cache_of_windows_needs_windows() -> None:
    with pytest.raises(ValueError, match="layers without a window"):
        SlidingWindowCache(LlamaConfig(**SIZES))


def test_qwen2_has_windows_in_its_upper_layers_only_if_wanted() -> None:
    sizes = SIZES | {"num_hidden_layers": 3, "sliding_window": 5, "max_window_layers": 1}
    assert layer_windows(Qwen2Config(**sizes)) == [None] * 3
    assert layer_windows(Qwen2Config(**sizes, use_sliding_window=True)) == [None, 5, 5]
    none = sizes | {"sliding_window": 0, "use_sliding_window": True}  # as 5.x writes it
    assert layer_windows(Qwen2Config(**none)) == [None] * 3


def test_files_of_newer_releases_say_which_layers_have_a_window() -> None:
    kinds = ["full_attention", "sliding_attention"]
    for config_class in (Gemma2Config, Qwen2Config, MistralConfig):
        config = config_class(**SIZES, sliding_window=3, use_sliding_window=True, layer_types=kinds)
        assert layer_windows(config) == [None, 3]
        assert layer_windows(config_class.from_dict(config.to_dict())) == [None, 3]
    with pytest.raises(ConfigError, match="layer_types names 1 layers"):
        Gemma2Config(num_hidden_layers=2, layer_types=kinds[:1])
    with pytest.raises(ConfigError, match="'mamba' is not allowed"):
        Gemma2Config(num_hidden_layers=1, layer_types=["mamba"])


def test_a_compiled_model_compiles_prompt_and_step_once(case: tuple[Any, Any, str]) -> None:
    model, cache_class, name = case
    assert cache_class.is_compileable
    options = {"max_new_tokens": 12, "do_sample": False, "cache_implementation": name}
    expected = model.generate(ids(), **options | {"cache_implementation": "dynamic"})
    torch._dynamo.reset()
    compiled = torch._dynamo.testing.CompileCounter()
    model.forward = torch.compile(model.forward, backend=compiled)
    for _ in range(2):  # the second call finds the same memory
        assert torch.equal(model.generate(ids(), **options), expected)
    torch._dynamo.reset()
    assert compiled.frame_count == 2
