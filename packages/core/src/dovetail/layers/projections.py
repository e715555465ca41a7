"""Linear projections with the layouts that checkpoints use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.immediate import PLAIN_TENSORS, as_one, is_immediate

ONEDNN_MIN_WEIGHTS = 1 << 16  # below this the call costs more than it saves
TWO_ROWS_MIN_INPUTS = 1 << 10


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` for x (..., in) and weight (out, in).

    PyTorch sends float32 products on a CPU to MKL, which reads a matrix at a third of the memory's
    speed when x has few rows. oneDNN, which PyTorch carries too, is two to four times as fast there
    and no slower elsewhere, but knows no gradients and no autocast. One row and a matrix that is
    stored input by input are what MKL is good at. A single long row in bfloat16 takes oneDNN a
    fifth longer than two.
    """
    if (
        not x.is_cpu
        or weight.numel() < ONEDNN_MIN_WEIGHTS
        or x.size(-1) != weight.size(1)  # torch's message names both shapes
        or ONEDNN_LINEAR is None
        or not is_immediate()
        or torch.is_autocast_enabled("cpu")
        or type(weight) not in PLAIN_TENSORS
    ):
        return F.linear(x, weight, bias)
    is_row = x.numel() == x.size(-1)
    if x.dtype is torch.float32:
        if is_row and weight.stride(0) == 1:
            return _row_by_input(x, weight.t(), bias)
        return ONEDNN_LINEAR(x, weight, bias, "none", [], "")
    if is_row and x.dtype is torch.bfloat16 and x.numel() >= TWO_ROWS_MIN_INPUTS:
        twice = x.view(1, -1).expand(2, -1).contiguous()
        return F.linear(twice, weight, bias)[:1].view(*x.shape[:-1], -1)
    return F.linear(x, weight, bias)


def _row_by_input(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The product of one row x (..., in) and a weight (in, out); MKL knows one thread for it, so
    two take a half of the matrix each."""
    inputs, outputs = weight.shape
    if torch.get_num_threads() == 1 or outputs % 2:
        product = x.view(1, inputs).mm(weight)
    else:
        halves = weight.view(inputs, 2, -1).transpose(0, 1)
        product = x.view(1, 1, inputs).expand(2, 1, inputs).bmm(halves)
    product = product.view(*x.shape[:-1], outputs)
    return product if bias is None else product + bias


def _onednn_linear() -> Callable[..., Tensor] | None:
    usable = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return torch.ops.mkldnn._linear_pointwise.default if usable else None


ONEDNN_LINEAR = _onednn_linear()


class Linear(nn.Linear):
    """`torch.nn.Linear` over `linear`: the projection that model files use."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def together(x: Tensor, *layers: nn.Module) -> tuple[Tensor, ...]:
    """What each of `layers` makes of x (..., in).

    Without gradients, weights that lie one after the other in memory are read as one matrix, since
    one product is quicker than several. `dovetail.seating` puts them there when a checkpoint is
    loaded. Layers that a quantizer holds together say so by a common ``joint``.
    """
    joint = vars(layers[0]).get("joint")
    if joint is not None and joint.layers == [*layers] and not any(map(_is_hooked, layers)):
        if joint.serves(x):
            return joint.parts(x)
        return tuple(layer(x) for layer in layers)
    if (
        not is_immediate()
        or not all(map(_is_plain, layers))
        or (weight := as_one([layer._parameters["weight"] for layer in layers])) is None
    ):
        return tuple(layer(x) for layer in layers)
    bias = None
    if any(layer._parameters["bias"] is not None for layer in layers):
        bias = as_one([layer._parameters["bias"] for layer in layers])
        if bias is None:
            return tuple(layer(x) for layer in layers)
    widths = [layer.out_features for layer in layers]
    return torch.split_with_sizes(linear(x, weight, bias), widths, -1)  # type: ignore[arg-type]


def _is_plain(layer: nn.Module) -> bool:
    """Whether calling `layer` is a product and nothing else."""
    return type(layer) is Linear and not _is_hooked(layer)


def _is_hooked(layer: nn.Module) -> bool:
    """Whether a call does more than the class says: a hook, a replaced ``forward``."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))


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
