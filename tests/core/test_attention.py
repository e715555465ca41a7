"""All implementations of attention agree, with every kind of mask."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.errors import UnknownNameError
from dovetail.layers.attention import attention, repeat_heads, split_heads
from dovetail.layers.projections import ONEDNN_LINEAR, Conv1D, Linear, linear
from dovetail.masks import Mask, bidirectional_mask, causal_mask
from dovetail.recording import Recorder

POSITIONS = torch.tensor([[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 0, 1]])
PADDING = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
STATES = torch.zeros(2, 6, 1)
MASKS: dict[str, Mask | None] = {
    "none": None,
    "causal": causal_mask(STATES),
    "window": causal_mask(STATES, window=2),
    "padding": causal_mask(STATES, PADDING),
    "packed": causal_mask(STATES, position_ids=POSITIONS),
    "bidirectional": bidirectional_mask(STATES, PADDING.flip(1)),
    "ready": bidirectional_mask(STATES, torch.linspace(-2, 2, 72).view(2, 1, 6, 6)),
}


def inputs(heads: int = 4, groups: int = 2, queries: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, heads, queries, 8), (2, groups, 6, 8), (2, groups, 6, 8)
    query, key, value = (torch.randn(shape, generator=generator) for shape in shapes)
    return query, key, value


def formula(query: Tensor, key: Tensor, value: Tensor, mask: Mask | None, **options: Any) -> Tensor:
    key, value = (repeat_heads(states, query.shape[1]) for states in (key, value))
    scores = query @ key.mT * options.get("scale", query.shape[-1] ** -0.5)
    if options.get("softcap"):
        scores = options["softcap"] * torch.tanh(scores / options["softcap"])
    scores = scores + options.get("bias", 0)
    if mask is not None:
        scores = scores + mask.additive(scores.dtype, scores.device)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("name", MASKS)
def test_implementations_follow_the_formula(implementation: str, name: str):
    states, mask = inputs(), MASKS[name]
    output = attention(*states, mask, implementation=implementation)
    assert output.shape == (2, 6, 32)
    expected = formula(*states, mask)
    seen = slice(2, None) if name == "padding" else slice(None)  # padded queries mean nothing
    torch.testing.assert_close(output[:, seen], expected[:, seen], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize(
    "options",
    [{"scale": 1.0}, {"softcap": 2.0}, {"bias": torch.linspace(-2, 2, 144).view(1, 4, 6, 6)}],
    ids=" ".join,
)
def test_implementations_take_scale_cap_and_bias(implementation: str, options: dict[str, Any]):
    states, mask = inputs(), MASKS["causal"]
    output = attention(*states, mask, implementation=implementation, **options)
    torch.testing.assert_close(output, formula(*states, mask, **options), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("padding", [None, PADDING])
def test_one_query_attends_like_the_last_of_many(groups: int, padding: Tensor | None):
    query, key, value = inputs(groups=groups)
    whole = attention(query, key, value, causal_mask(STATES, padding))
    mask = None if padding is None else Mask(1, 6, padding=padding.bool())
    one = attention(query[:, :, -1:], key, value, mask)
    torch.testing.assert_close(one, whole[:, -1:], atol=1e-5, rtol=1e-5)


def test_weights_are_recorded_when_wanted():
    recorder = Recorder(hidden_states=False, attentions=True)
    states = inputs()
    output = attention(*states, MASKS["causal"], recorder=recorder, record_as="attentions")
    (weights,) = recorder.notes["attentions"]
    assert weights.shape == (2, 4, 6, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))
    assert not weights[..., 0, 1:].any()
    torch.testing.assert_close(output, formula(*states, MASKS["causal"]), atol=1e-5, rtol=1e-5)


def test_a_masked_head_gives_nothing():
    keep = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(4, 1, 1)
    output = attention(*inputs(), head_mask=keep).unflatten(-1, (4, 8))
    assert not output[:, :, 1].any()
    assert output[:, :, 0].any()


def test_dropout_changes_weights_only_when_asked():
    states = inputs()
    torch.manual_seed(0)
    dropped = attention(*states, implementation="eager", dropout=0.5)
    assert not dropped.equal(attention(*states, implementation="eager"))


def test_an_unknown_implementation_lists_near_ones():
    with pytest.raises(UnknownNameError, match="sdpa"):
        attention(*inputs(), implementation="sdpaa")


def test_flash_attention_says_which_package_it_needs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    with pytest.raises(ImportError, match="pip install flash-attn"):
        attention(*inputs(), implementation="flash_attention_2")


def test_heads_are_split_and_joined():
    states = torch.arange(24.0).view(1, 2, 12)
    heads = split_heads(states, 4)
    assert heads.shape == (1, 3, 2, 4)
    assert heads.transpose(1, 2).flatten(2).equal(states)


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_fast_products_equal_plain_ones(rows: int, bias: bool):
    torch.manual_seed(0)
    layer = Linear(512, 512, bias=bias)
    x = torch.randn(2, rows, 512)
    expected = F.linear(x, layer.weight, layer.bias)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)
    assert layer(x).requires_grad


def test_transposed_weights_take_the_fast_product_too():
    torch.manual_seed(0)
    layer, x = Conv1D(768, 384), torch.randn(1, 4, 384)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), x @ layer.weight + layer.bias, atol=1e-4, rtol=1e-4)


def test_the_fast_product_is_used_where_it_pays(monkeypatch: pytest.MonkeyPatch):
    used = []

    def note(*args: Any) -> Tensor:
        used.append(args[1].shape)
        return ONEDNN_LINEAR(*args)

    monkeypatch.setattr("dovetail.layers.projections.ONEDNN_LINEAR", note)
    big, small = torch.zeros(512, 512), torch.zeros(8, 512)
    linear(torch.zeros(1, 512, requires_grad=True), big)
    assert not used
    with torch.no_grad():
        linear(torch.zeros(1, 512), small)
        linear(torch.zeros(1, 512, dtype=torch.float64), big.double())
        assert not used
        linear(torch.zeros(1, 512), big)
    assert used == [big.shape]


def test_autocast_decides_the_type_of_products():
    layer, x = Linear(512, 512), torch.randn(2, 512)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.no_grad():
        assert layer(x).dtype == torch.float32


def test_inputs_of_another_width_are_refused_as_torch_does():
    with torch.no_grad(), pytest.raises(RuntimeError, match="2x511 and 512x512"):
        Linear(512, 512)(torch.randn(2, 511))


@pytest.mark.parametrize("shape", [(512,), (0, 512), (2, 0, 512), (2, 3, 4, 512)], ids=str)
def test_products_take_inputs_of_any_shape(shape: tuple[int, ...]):
    layer, x = Linear(512, 512), torch.ones(shape)
    with torch.no_grad():
        expected = F.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)
