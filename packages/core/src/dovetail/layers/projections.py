"""Linear projections with the layouts that checkpoints use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ONEDNN_MIN_WEIGHTS = 1 << 16  # below this the call costs more than it saves


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` for x (..., in) and weight (out, in).

    PyTorch sends float32 products on a CPU to MKL, which reads a matrix at a third of the memory's
    speed when x has few rows. oneDNN, which PyTorch carries too, is two to four times as fast there
    and no slower elsewhere, but knows no gradients and no autocast.
    """
    if (
        x.dtype is torch.float32
        and not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and weight.numel() >= ONEDNN_MIN_WEIGHTS
        and x.shape[-1] == weight.shape[1]  # else torch's message names both shapes
        and not torch.is_autocast_enabled("cpu")
        and ONEDNN_LINEAR is not None
        and not torch.compiler.is_compiling()
        and type(weight) in PLAIN_TENSORS
    ):
        return ONEDNN_LINEAR(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


def _onednn_linear() -> Callable[..., Tensor] | None:
    usable = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return torch.ops.mkldnn._linear_pointwise.default if usable else None


ONEDNN_LINEAR = _onednn_linear()
PLAIN_TENSORS = (nn.Parameter, Tensor)


class Linear(nn.Linear):
    """`torch.nn.Linear` over `linear`: the projection that model files use."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class Conv1D(nn.Module):
    """A linear layer whose weight is stored transposed, (in, out), as in GPT and GPT-2."""

    def __init__(self, out_features: int, in_features: int) -> None:
        super().__init__()
        self.nf, self.nx = out_features, in_features
        self.weight = nn.Parameter(torch.empty(in_features, out_features).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        return f"in={self.nx}, out={self.nf}"
