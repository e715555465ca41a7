"""Experts: what the router chooses is what is computed, and evenness is what its loss rewards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dovetail.layers.moe import SparseMoE
from dovetail.losses import load_balancing_loss
from dovetail.recording import Recorder

WIDTH, EXPERTS, TOP = 6, 5, 2


def block(**options: bool | float) -> SparseMoE:
    torch.manual_seed(0)
    experts = [nn.Linear(WIDTH, WIDTH) for _ in range(EXPERTS)]
    return SparseMoE(WIDTH, experts, TOP, **options).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("normalise", [True, False])
@torch.no_grad()
def test_output_is_the_weighed_sum_of_the_best_experts(normalise: bool) -> None:
    moe = block(normalise=normalise)
    states = torch.randn(2, 3, WIDTH)
    weights = moe.gate(states).softmax(-1)
    kept = torch.zeros_like(weights).scatter(-1, weights.topk(TOP).indices, 1.0) * weights
    if normalise:
        kept = kept / kept.sum(-1, keepdim=True)
    every = torch.stack([expert(states) for expert in moe.experts], -1)  # (B, T, D, X)
    assert torch.allclose(moe(states), (every * kept[..., None, :]).sum(-1), atol=1e-6)


def test_router_logits_are_noted_when_wanted() -> None:
    states = torch.randn(2, 3, WIDTH)
    wanted, unwanted = Recorder(False, False, True), Recorder(True, True)
    block()(states, wanted)
    block()(states, unwanted)
    assert wanted.notes["router_logits"][0].shape == (6, EXPERTS)
    assert unwanted.notes == {}


def test_jitter_acts_in_training_only() -> None:
    moe, states = block(jitter=0.3), torch.randn(2, 3, WIDTH)
    assert torch.equal(moe(states), moe(states))
    moe.train()
    assert not torch.equal(moe(states), moe(states))


def test_even_use_has_the_least_loss() -> None:
    even = 5.0 * torch.eye(EXPERTS) + 4.0 * torch.eye(EXPERTS).roll(1, 0)
    uneven = even[:1].expand(EXPERTS, -1)
    assert load_balancing_loss((even, even), TOP).item() == pytest.approx(TOP)
    assert load_balancing_loss((even, uneven), TOP) > TOP


def test_padding_does_not_count() -> None:
    logits = torch.randn(2 * 4, EXPERTS)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    real = logits[mask.flatten().bool()]
    masked, alone = load_balancing_loss((logits,), TOP, mask), load_balancing_loss((real,), TOP)
    assert torch.allclose(masked, alone)
