"""A linear recurrence equals its definition, in pieces too, and so do its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dovetail.layers.recurrence import linear_recurrence


def steps(count: int, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    factors, values = (
        torch.randn(count, *shape, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return factors, values, torch.randn(*shape, generator=generator, dtype=torch.float64)


def one_by_one(factors: Tensor, values: Tensor, start: Tensor) -> Tensor:
    results = []
    for factor, value in zip(factors, values, strict=True):
        start = factor * start + value
        results.append(start)
    return torch.stack(results)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_it_is_what_it_says(count: int):
    factors, values, start = steps(count, 2, 3)
    assert torch.allclose(
        linear_recurrence(factors, values, start), one_by_one(factors, values, start)
    )
    assert torch.allclose(
        linear_recurrence(factors, values), one_by_one(factors, values, torch.zeros(2, 3))
    )


def test_it_may_go_on_where_it_stopped():
    factors, values, start = steps(7, 2, 3)
    whole = linear_recurrence(factors, values, start)
    first = linear_recurrence(factors[:3], values[:3], start)
    second = linear_recurrence(factors[3:], values[3:], first[-1])
    assert torch.cat((first, second)).equal(whole)


def test_gradients_are_right_and_have_gradients():
    inputs = [tensor.requires_grad_() for tensor in steps(4, 3)]
    assert torch.autograd.gradcheck(linear_recurrence, inputs)
    assert torch.autograd.gradgradcheck(linear_recurrence, inputs)
