"""Mamba passes the battery for decoders; its states go on, begin anew, and never go back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from dovetail import MambaCache, MambaConfig, MambaForCausalLM, MambaModel
from dovetail.errors import GenerationError
from dovetail.testing.conformance import CausalLMConformance
from dovetail_models_text.mamba.modeling import selective_scan

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "state_size": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestMamba(CausalLMConformance):
    config_class = MambaConfig
    model_classes = (MambaModel, MambaForCausalLM)
    sizes = SIZES


class TestMambaWithBiases(CausalLMConformance):
    config_class = MambaConfig
    model_classes = (MambaForCausalLM,)
    sizes = SIZES | {"use_bias": True, "use_conv_bias": False, "conv_kernel": 1, "expand": 1}


def model() -> Any:
    return TestMamba().build(MambaForCausalLM)


def prompt(length: int) -> torch.Tensor:
    return torch.arange(length)[None] * 7 % 90 + 5


def test_a_long_text_is_the_recurrence_and_so_are_its_gradients():
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 70, 3), (2, 70, 3), (3, 4), (2, 70, 4), (2, 70, 4), (2, 3, 4))
    inputs = [torch.randn(*size, generator=generator) for size in sizes]
    inputs[1], inputs[2] = F.softplus(inputs[1]), -inputs[2].exp()
    one, other = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    output, last = selective_scan(*one)
    x, steps, rates, write, read, state = other
    outputs = []
    for t in range(70):
        fading = (steps[:, t, :, None] * rates).exp()
        state = fading * state + (steps[:, t] * x[:, t])[..., None] * write[:, t, None]
        outputs.append((state * read[:, t, None]).sum(-1))
    expected = torch.stack(outputs, 1)
    assert torch.allclose(output, expected, atol=1e-5)
    assert torch.allclose(last, state, atol=1e-5)
    output.square().sum().backward()
    expected.square().sum().backward()
    for mine, theirs in zip(one, other, strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reserved", [True, False])
def test_a_cache_goes_on_and_begins_anew(reserved: bool):
    mamba, ids = model(), prompt(50)
    cache = MambaCache(mamba.config, 1 if reserved else None, torch.float32)
    with torch.no_grad():
        expected = mamba(ids).logits
        for _ in range(2):
            parts = [
                mamba(
                    ids[:, start:end], cache_params=cache, cache_position=torch.arange(start, end)
                ).logits
                for start, end in ((0, 2), (2, 40), (40, 41), (41, 50))
            ]
            assert torch.allclose(torch.cat(parts, 1), expected, atol=1e-4)
    assert cache.get_seq_length() == 50
    assert cache.conv_states[0].shape == (1, 64, 4)
    assert cache.ssm_states[0].shape == (1, 64, 4)


def test_generation_goes_on_from_a_cache():
    mamba, ids = model(), prompt(12)
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    cache = mamba(ids[:, :7], use_cache=True).cache_params
    expected = mamba.generate(ids, **options)
    assert mamba.generate(ids, cache_params=cache, **options).equal(expected)
    with pytest.raises(ValueError, match="are the same"):
        mamba(ids, cache_params=cache, past_key_values=cache)


@pytest.mark.parametrize("cache", [None, "mamba", "static"])
@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"num_beams": 3, "force_words_ids": [[17]]},
        {"dola_layers": "low"},
    ],
    ids=["beams", "groups", "constrained", "dola"],
)
def test_states_follow_their_texts(cache: str | None, options: dict[str, Any]):
    mamba = model()
    ids = torch.cat((prompt(6), prompt(6).flip(1)))
    options = {"max_new_tokens": 6, "do_sample": False, "attention_mask": ids > 0} | options
    expected = mamba.generate(ids, use_cache=False, **options)
    got = mamba.generate(ids, cache_implementation=cache, **options)
    assert got.equal(expected)


@pytest.mark.parametrize("name", ["prompt_lookup_num_tokens", "assistant_model"])
def test_guesses_are_refused_before_the_model_runs(name: str, monkeypatch: pytest.MonkeyPatch):
    mamba, other = model(), model()
    monkeypatch.setattr(MambaModel, "forward", None)
    value = 3 if name == "prompt_lookup_num_tokens" else other
    with pytest.raises(GenerationError, match="cannot take back a wrong guess"):
        mamba.generate(prompt(5), **{name: value})


def test_what_cannot_be_is_refused():
    mamba, ids = model(), prompt(5)
    with pytest.raises(ValueError, match=r"give \(batch, length\)"):
        mamba(ids, attention_mask=torch.ones(1, 1, 5, 5))
    cache = mamba(ids, use_cache=True).cache_params
    with pytest.raises(ValueError, match="states of 1 texts, and the input has 2 rows"):
        mamba(ids.expand(2, -1), cache_params=cache)
    other = TestMamba().build(MambaForCausalLM, state_size=3)
    with pytest.raises(ValueError, match=r"'ssm' of shape \(64, 4\)"):
        other(ids, cache_params=cache)
    with pytest.raises(GenerationError, match="has recurrent states and no keys"):
        mamba.generate(ids, max_new_tokens=2, cache_implementation="quantized")


def test_contrastive_search_tries_tokens_on_copies_of_states():
    mamba = model()
    ids = torch.cat((prompt(6), prompt(6).flip(1)))
    options = {"max_new_tokens": 6, "penalty_alpha": 0.6, "top_k": 3, "eos_token_id": None}
    both = mamba.generate(ids, **options)
    alone = [mamba.generate(ids[row : row + 1], **options) for row in range(2)]
    assert both.equal(torch.cat(alone))
    text = ids[:1]
    for _ in range(6):
        output = mamba(text, output_hidden_states=True)
        likely, tokens = output.logits[0, -1].softmax(-1).topk(3)
        past = F.normalize(output.hidden_states[-1][0], dim=-1)
        tried = [torch.cat((text, token.view(1, 1)), 1) for token in tokens]
        last = [mamba(one, output_hidden_states=True).hidden_states[-1][0, -1] for one in tried]
        alike = torch.stack([(past @ F.normalize(one, dim=-1)).max() for one in last])
        text = tried[int((0.4 * likely - 0.6 * alike).argmax())]
    assert both[:1].equal(text)


def test_training_begins_where_the_paper_does():
    torch.manual_seed(0)
    mamba = MambaModel(MambaConfig(**SIZES, rescale_prenorm_residual=True))
    mixer = mamba.layers[1].mixer
    assert torch.allclose(mixer.A_log.exp(), torch.arange(1.0, 5).expand(64, 4))
    assert mixer.D.equal(torch.ones(64))
    steps = F.softplus(mixer.dt_proj.bias)
    assert 0.001 < steps.min() < 0.005
    assert 0.02 < steps.max() < 0.1
    assert mixer.out_proj.weight.abs().max() <= 64**-0.5 / 2**0.5
    constant = MambaModel(MambaConfig(**SIZES, time_step_init_scheme="constant"))
    assert (constant.layers[0].mixer.dt_proj.weight == 2**-0.5).all()
