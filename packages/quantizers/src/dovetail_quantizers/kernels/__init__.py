"""The products of packed matrices with activations, and which of them runs on this machine.

A *kind* is a way to hold a matrix; a `Kernel` multiplies with one kind. Several kernels may serve a
kind: `chosen` takes the first that works here, in the order of `KERNELS`, and says why the others
do not. Where none works, layers dequantize their weight and multiply as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol

from torch import Tensor

from dovetail_quantizers.kernels import fbgemm, tinygemm

Kind = Literal["int8", "int4", "half", "rows"]


class Product(Protocol):
    """A packed matrix (out, in); copies and pickles are packed anew."""

    def __call__(self, x: Tensor) -> Tensor:
        """``x @ weight.T`` in float32 for a float32 x (..., in)."""

    def unpacked(self) -> tuple[Tensor, ...]:
        """The tensors from which it was packed."""


@dataclass(frozen=True)
class Kernel:
    """One implementation.

    `pack` makes a `Product` from the tensors of its kind, or None if these do not fit it.
    """

    name: str
    kind: Kind
    pack: Callable[..., Any]
    obstacle: Callable[[], str | None]
    """Why it cannot run on this machine, None if it can."""


KERNELS = (
    Kernel("fbgemm int8", "int8", fbgemm.Int8Product, fbgemm.obstacle),
    Kernel("fbgemm float16 with scales", "rows", fbgemm.RowsProduct, fbgemm.obstacle),
    Kernel("fbgemm float16", "half", fbgemm.HalfProduct.lossless, fbgemm.obstacle),
    Kernel("tinygemm int4", "int4", tinygemm.Int4Product, tinygemm.obstacle),
)


@dataclass(frozen=True)
class Choice:
    """What serves a kind here: a kernel, or None for the ordinary product; and why."""

    kernel: Kernel | None
    why: str


@cache
def chosen(kind: Kind) -> Choice:
    """The kernel for a kind on this machine."""
    reasons = []
    for kernel in KERNELS:
        if kernel.kind == kind:
            obstacle = kernel.obstacle()
            if obstacle is None:
                return Choice(kernel, f"{kernel.name}: it works here")
            reasons.append(f"{kernel.name}: {obstacle}")
    return Choice(None, "; ".join(reasons))
