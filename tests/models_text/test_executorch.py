"""Decoders exported with their cache: the same logits and texts as the models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from dovetail.integrations.executorch import (
    TorchExportableModuleWithStaticCache,
    convert_and_export_with_cache,
)
from dovetail.testing.subject import fill

GPT2_SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
}
MODELS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config(**SIZES, head_dim=8, sliding_window=4)),
    "gpt2": (GPT2LMHeadModel, GPT2Config(**GPT2_SIZES, bos_token_id=1, eos_token_id=2)),
}
PROMPT = torch.tensor([[5, 17, 40, 8]])


def build(name: str, **settings: Any) -> Any:
    kind, config = MODELS[name]
    model = kind(config).eval()
    fill(model)
    size = {"batch_size": 1, "max_cache_len": 12}
    given = {"use_cache": True, "cache_implementation": "static", "cache_config": size}
    model.generation_config = GenerationConfig(**given | settings)
    return model


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_an_exported_decoder_gives_the_same_logits(name: str) -> None:
    model = build(name)
    program = convert_and_export_with_cache(model)
    text = torch.randint(5, 99, (1, 12), generator=torch.Generator().manual_seed(0))
    step = program.module()
    found = [
        step(input_ids=text[:, n : n + 1], cache_position=torch.tensor([n])) for n in range(12)
    ]
    expected = model(text, use_cache=False).logits
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-5)

    model.generation_config = GenerationConfig(pad_token_id=0, eos_token_id=None)
    expected = model.generate(PROMPT, max_new_tokens=5, do_sample=False)
    exported = TorchExportableModuleWithStaticCache.generate(program, PROMPT, 5)
    assert torch.equal(exported, expected)


def test_a_program_reads_several_tokens_at_a_time() -> None:
    model = build("llama")
    program = convert_and_export_with_cache(model, PROMPT, torch.arange(4))
    found = program.module()(input_ids=PROMPT, cache_position=torch.arange(4))
    torch.testing.assert_close(found, model(PROMPT, use_cache=False).logits, rtol=0, atol=1e-5)


def test_a_text_ends_where_the_cache_does() -> None:
    program = convert_and_export_with_cache(build("llama"))
    run = TorchExportableModuleWithStaticCache.generate
    assert run(program, PROMPT, 50).shape == (1, 13)
    assert torch.equal(run(program, PROMPT, 0), PROMPT)
    with pytest.raises(ValueError, match="13 tokens and the exported cache has room for 12"):
        run(program, PROMPT[:, :1].expand(1, 13), 1)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no cache": (
        {"use_cache": False, "cache_implementation": None, "cache_config": None},
        "use_cache is False",
    ),
    "another cache": (
        {"cache_implementation": "hybrid", "cache_config": None},
        "cache_implementation='hybrid': set it to 'static'",
    ),
    "no size": ({"cache_config": None}, "give batch_size and max_cache_len"),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_must_say_what_to_reserve(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        convert_and_export_with_cache(build("llama", **settings))


def test_states_are_not_exported() -> None:
    config = MambaConfig(vocab_size=99, hidden_size=16, num_hidden_layers=1, state_size=4)
    model = MambaForCausalLM(config).eval()
    model.generation_config = build("llama").generation_config
    with pytest.raises(ValueError, match="layer 0 remembers by a state"):
        TorchExportableModuleWithStaticCache(model)
