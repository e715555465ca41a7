"""RecurrentGemma passes the battery for decoders; its pattern, window and recurrence are right."""

from __future__ import annotations

import pytest
import torch

from dovetail import RecurrentGemmaConfig, RecurrentGemmaForCausalLM, RecurrentGemmaModel
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance
from dovetail.testing.subject import fill
from dovetail_models_text.recurrent_gemma.modeling import BoundedRoot, RecurrentGemmaRglru

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "lru_width": 40,
    "attention_window_size": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestRecurrentGemma(CausalLMConformance):
    config_class = RecurrentGemmaConfig
    model_classes = (RecurrentGemmaModel, RecurrentGemmaForCausalLM)
    sizes = SIZES


def build(**changes):
    model = RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**SIZES | changes)).eval()
    fill(model)
    return model


def recurrence():
    layer = RecurrentGemmaRglru(RecurrentGemmaConfig(**SIZES))
    fill(layer)
    return layer


def test_layers_follow_the_pattern():
    config = RecurrentGemmaConfig(**SIZES, block_types=("recurrent", "attention", "attention"))
    kinds = ["recurrent", "attention", "attention", "recurrent"]
    assert config.layers_block_type == kinds
    assert config.layer_windows == [0, 4, 4, 0]
    blocks = [type(layer.temporal_block).__name__ for layer in RecurrentGemmaModel(config).layers]
    assert [("Attention" in block) for block in blocks] == [kind == "attention" for kind in kinds]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"block_types": []}, "block_types is empty"),
        ({"block_types": ["recurrent", "mamba"]}, "mamba"),
        ({"lru_width": 33}, "lru_width=33"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3"),
    ],
)
def test_layouts_that_cannot_be_are_refused(changes, named):
    with pytest.raises(ConfigError, match=named):
        RecurrentGemmaConfig(**SIZES | changes)


@torch.no_grad()
def test_recurrence_is_that_of_the_paper():
    layer, x = recurrence(), torch.randn(2, 6, 40)
    states, last = layer(x, torch.arange(6)[None], None, None)
    gates = []
    for kind in ("input", "recurrent"):
        weight, bias = (getattr(layer, f"{kind}_gate_{part}") for part in ("weight", "bias"))
        matrix = torch.block_diag(*weight)
        gates.append((x @ matrix + bias.flatten()).sigmoid())
    rate = torch.exp(-8 * gates[1] * torch.log1p(layer.recurrent_param.exp()))
    state = torch.zeros(2, 40)
    for now in range(6):
        added = gates[0][:, now] * x[:, now]
        scale = (1 - rate[:, now] ** 2).sqrt() if now else 1.0
        state = rate[:, now] * state + scale * added
        assert torch.allclose(states[:, now], state, atol=1e-5)
    assert torch.equal(last, states[:, -1])


@torch.no_grad()
def test_a_text_begins_at_position_0_and_padding_is_passed_over():
    layer, x = recurrence(), torch.randn(1, 6, 40)
    old = torch.randn(1, 40)
    fresh, _ = layer(x, torch.arange(6)[None], None, None)
    assert torch.equal(layer(x, torch.arange(6)[None], None, old)[0], fresh)
    text = torch.tensor([[True, True, False, False, True, True]])
    positions = torch.tensor([[4, 5, 1, 1, 6, 7]])
    gapped, _ = layer(x, positions, text, old)
    without, _ = layer(x[:, text[0]], torch.arange(4, 8)[None], None, old)
    assert torch.allclose(gapped[:, text[0]], without, atol=1e-6)


def test_the_gradient_of_the_root_is_bounded():
    x = torch.tensor([0.0, 1e-12, 0.25], requires_grad=True)
    BoundedRoot.apply(x).sum().backward()
    assert x.grad.tolist() == pytest.approx([1000.0, 1000.0, 1.0])


@torch.no_grad()
def test_attention_sees_its_window_whole_or_in_steps():
    model = build(num_hidden_layers=1, block_types=["attention"])
    ids = torch.randint(5, 99, (1, 12))
    changed = ids.clone()
    changed[0, 3] = 5 + (ids[0, 3] - 4) % 94
    differs = (model(ids).logits - model(changed).logits).abs().amax(-1)[0] > 1e-6
    assert differs.nonzero().flatten().tolist() == [3, 4, 5, 6]


def test_embeddings_are_scaled_as_they_were_trained():
    model = build(hidden_size=36, lru_width=36)
    states = model(torch.tensor([[7]]), output_hidden_states=True).hidden_states[0]
    assert torch.equal(states, model.get_input_embeddings()(torch.tensor([[7]])) * 6.0)
    assert build().model.scale == 5.65625  # the root of 32 in bfloat16


def test_weights_begin_as_small_as_in_the_paper():
    torch.manual_seed(0)
    config = RecurrentGemmaConfig(**SIZES | {"hidden_size": 256, "lru_width": 256})
    recurrent, attention = (RecurrentGemmaModel(config).layers[i].temporal_block for i in (0, 2))
    for weight, std in (
        (recurrent.linear_x.weight, 1 / 16),
        (recurrent.linear_out.weight, 0.5**0.5 / 16),
        (attention.q_proj.weight, 1 / 16),
        (attention.o_proj.weight, 0.5**0.5 / 16),
        (recurrent.conv_1d.weight, 0.05),
        (recurrent.rg_lru.input_gate_weight, 0.1 / 8),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.1)
    rate = torch.exp(-torch.nn.functional.softplus(recurrent.rg_lru.recurrent_param))
    assert 0.9 <= rate.min() < 0.92
    assert 0.99 < rate.max() <= 0.9991


def test_generation_keeps_a_window_and_no_more():
    model = build()
    output = model.generate(
        torch.randint(5, 99, (1, 9)),
        max_new_tokens=6,
        do_sample=False,
        eos_token_id=None,
        return_dict_in_generate=True,
    )
    keys = output.past_key_values.layers[2].keys
    assert keys.shape[2] == 4
