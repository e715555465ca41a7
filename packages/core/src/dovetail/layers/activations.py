"""Activation functions by the names that configs use."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.errors import UnknownNameError, near_matches


def gelu_accurate(x: Tensor) -> Tensor:
    """GELU's tanh form with the exact constant (Megatron)."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))))


def gelu_fast(x: Tensor) -> Tensor:
    """GELU's tanh form with rounded constants."""
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


def quick_gelu(x: Tensor) -> Tensor:
    """``x * sigmoid(1.702 x)`` (CLIP)."""
    return x * torch.sigmoid(1.702 * x)


def clipped_gelu(x: Tensor, low: float = -10.0, high: float = 10.0) -> Tensor:
    """GELU cut to a range that 8-bit numbers hold (arXiv 2004.09602)."""
    return F.gelu(x).clamp(low, high)


def relu_squared(x: Tensor) -> Tensor:
    """``relu(x)²`` (Primer, arXiv 2109.08668)."""
    return F.relu(x).square()


def laplace(x: Tensor, mu: float = 0.707107, sigma: float = 0.282095) -> Tensor:
    """Laplace attention function (MEGA, arXiv 2209.10655)."""
    return 0.5 * (1.0 + torch.erf((x - mu) / (sigma * math.sqrt(2.0))))


def identity(x: Tensor) -> Tensor:
    """No change."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_10": clipped_gelu,
    "gelu_accurate": gelu_accurate,
    "gelu_fast": gelu_fast,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_python": F.gelu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "hardtanh": F.hardtanh,
    "laplace": laplace,
    "leaky_relu": F.leaky_relu,
    "linear": identity,
    "mish": F.mish,
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "relu2": relu_squared,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function called `name` in configs."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise UnknownNameError(
            f"Unknown activation {name!r}.{near_matches(name, ACTIVATIONS)} "
            f"Known: {', '.join(sorted(ACTIVATIONS))}."
        ) from None


class Activation(nn.Module):
    """An activation as a module, for architectures whose checkpoints count modules."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.function = name, activation(name)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name
