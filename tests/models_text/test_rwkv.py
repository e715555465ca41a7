"""RWKV passes the battery for decoders; its averages, its state and its halving are right."""

from __future__ import annotations

import math

import pytest
import torch

from dovetail import RwkvConfig, RwkvForCausalLM, RwkvModel
from dovetail.testing.conformance import CausalLMConformance
from dovetail.testing.subject import fill
from dovetail_models_text.rwkv.modeling import weighted_averages

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "intermediate_size": 48,
    "attention_hidden_size": 40,
    "context_length": 64,
    "rescale_every": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.tensor([[5, 17, 42, 8, 23, 61], [90, 7, 7, 31, 12, 55]])


class TestRwkv(CausalLMConformance):
    config_class = RwkvConfig
    model_classes = (RwkvModel, RwkvForCausalLM)
    sizes = SIZES


def build(**changes):
    model = RwkvForCausalLM(RwkvConfig(**SIZES | changes)).eval()
    fill(model)
    return model


def naive(decay, bonus, key, value):
    """The formula of the paper, sums written out, in float64."""
    decay, bonus, key, value = (tensor.double() for tensor in (decay, bonus, key, value))
    outputs = []
    for now in range(len(key)):
        exponents = [key[then] - decay * (now - 1 - then) for then in range(now)]
        weights = torch.stack([*exponents, key[now] + bonus]).softmax(0)
        outputs.append((weights * value[: now + 1]).sum(0))
    return torch.stack(outputs)


@pytest.mark.parametrize("spread", [1.0, 60.0])
def test_averages_are_those_of_the_paper(spread):
    torch.manual_seed(0)
    inputs = [
        torch.rand(4) * 3,
        torch.randn(4),
        torch.randn(50, 2, 4) * spread,
        torch.randn(50, 2, 4),
    ]
    ours = [tensor.clone().requires_grad_() for tensor in inputs]
    theirs = [tensor.clone().requires_grad_() for tensor in inputs]
    past = torch.zeros(2, 2, 4), torch.full((2, 4), -1e38)
    averages, _ = weighted_averages(*ours, past, None)
    expected = naive(*theirs)
    assert torch.allclose(averages.double(), expected, atol=1e-4)
    direction = torch.randn_like(averages)
    (averages * direction).sum().backward()
    (expected * direction).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-3 * spread)


@torch.no_grad()
def test_state_is_five_tensors_which_continue_a_text():
    model = build()
    whole = model(IDS)
    state = model(IDS[:, :4]).state
    assert len(state) == 5
    assert [tuple(tensor.shape) for tensor in state] == [(2, 32, 3)] * 2 + [(2, 40, 3)] * 3
    copies = [tensor.clone() for tensor in state]
    for given in (state, copies, tuple(copies)):
        output = model(IDS[:, 4:], state=given)
        assert torch.allclose(output.logits, whole.logits[:, 4:], atol=1e-5)
        for mine, other in zip(output.state, whole.state, strict=True):
            assert torch.allclose(mine, other, atol=1e-5)


def test_states_that_cannot_be_are_refused():
    model = build()
    state = model(IDS, use_cache=True).state
    with pytest.raises(ValueError, match="4 items and must have 5"):
        model(IDS, state=list(state)[:4])
    with pytest.raises(ValueError, match="states of 2 texts, and the input has 1 rows"):
        model(IDS[:1], state=state)
    with pytest.raises(ValueError, match="state has 3 layers and RwkvModel 2"):
        build(num_hidden_layers=2)(IDS, state=list(state))
    with pytest.raises(ValueError, match=r"'numerator' of shape \(40,\)"):
        build(attention_hidden_size=32)(IDS, state=list(state))
    for run in (model, model.generate):
        with pytest.raises(ValueError, match="the same"):
            run(IDS, state=state, past_key_values=state)


def test_training_returns_no_state_unless_asked():
    model = build().train()
    assert "state" not in model(IDS)
    assert "state" in model(IDS, use_cache=True)


@torch.no_grad()
def test_gradients_flow_through_a_state():
    model = build()
    with torch.enable_grad():
        state = model(IDS[:, :3]).state
        model(IDS[:, 3:], state=state).logits.sum().backward()
        through = model.rwkv.embeddings.weight.grad[IDS[0, 0]].clone()
        model.zero_grad()
        model(IDS).logits[:, 3:].sum().backward()
    assert through.any()
    assert torch.allclose(through, model.rwkv.embeddings.weight.grad[IDS[0, 0]], atol=1e-4)


@torch.no_grad()
def test_halving_changes_no_output_and_no_weight(tmp_path):
    plain, halving = build(rescale_every=0), build(rescale_every=1)
    expected = plain(IDS, output_hidden_states=True)
    for _ in range(2):
        output = halving.eval()(IDS, output_hidden_states=True)
        assert torch.allclose(output.logits, expected.logits, atol=2e-3)  # norms add an epsilon
        assert torch.allclose(output.hidden_states[2] * 8, expected.hidden_states[2], atol=2e-2)
        assert torch.equal(halving.train()(IDS).logits, plain.train()(IDS).logits)
        plain.eval()
    halving.eval()(IDS)
    halving.save_pretrained(tmp_path)
    loaded = RwkvForCausalLM.from_pretrained(tmp_path)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_mixing_begins_as_in_the_paper():
    attention = RwkvModel(RwkvConfig(**SIZES)).blocks[1].attention.requires_grad_(False)
    assert attention.time_decay[[0, -1]].tolist() == pytest.approx([-5, 3])
    thirds = attention.time_first[:3].tolist()
    assert thirds == pytest.approx([math.log(0.3), math.log(0.3) + 0.5, math.log(0.3) - 0.5])
    half = attention.time_mix_key[0, 0, 16].item()
    assert half == pytest.approx(0.5 ** (2 / 3))
    assert attention.time_mix_value[0, 0, 16].item() == pytest.approx(half + 0.15)


def test_a_list_state_in_generate_comes_before_the_prompt():
    model = build()
    whole = model.generate(IDS, max_new_tokens=4, do_sample=False, eos_token_id=None)
    state = list(model(IDS[:, :4]).state)
    for name in ("state", "past_key_values"):
        rest = model.generate(
            IDS[:, 4:], **{name: state}, max_new_tokens=4, do_sample=False, eos_token_id=None
        )
        assert torch.equal(rest, whole[:, 4:])
