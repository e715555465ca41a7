"""Linear recurrences, which state-space and other recurrent layers are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def linear_recurrence(factors: Tensor, values: Tensor, start: Tensor | None = None) -> Tensor:
    """All ``h[t] = factors[t] * h[t - 1] + values[t]`` from ``h[-1] = start``, zeros when None.

    `factors` and `values` are (T, ...), `start` one step of them, and so is the result (T, ...);
    the last step of it is where the next call may start. Steps are taken one after the other, each
    in one pass over memory: on a CPU that is faster than a scan by halves, and as exact as can be.
    """
    start = torch.zeros_like(values[0]) if start is None else start
    return _Recurrence.apply(factors, values, start)


class _Recurrence(torch.autograd.Function):
    """The gradient of a linear recurrence is one that runs backwards, so it needs neither a graph
    of T steps nor more memory than factors and results."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor, values: Tensor, start: Tensor) -> Tensor:
        results = torch.empty_like(values, memory_format=torch.contiguous_format)
        last = start
        for factor, value, result in zip(
            factors.unbind(), values.unbind(), results.unbind(), strict=True
        ):
            last = torch.addcmul(value, factor, last, out=result)
        ctx.save_for_backward(factors, results, start)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factors, results, start = ctx.saved_tensors
        following = torch.cat((factors[1:], torch.zeros_like(factors[:1])))
        values = linear_recurrence(following.flip(0), gradients[0].flip(0)).flip(0)
        before = torch.cat((start[None], results[:-1]))
        return values * before, values, values[0] * factors[0]
