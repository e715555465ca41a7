"""Convolutions with batch norm; without training both are one convolution.

The norm's scale and shift go into the weights at every pass, which is cheaper than to pass over the
maps once more, and never stale. B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.activations import activation, identity


def may_fold(norm: nn.Module) -> bool:
    """Whether `norm` is the same for all pictures, of full precision, and nobody asks for
    gradients."""
    changes = norm.training and isinstance(norm, nn.BatchNorm2d)
    return not changes and not torch.is_grad_enabled() and norm.weight.dtype == torch.float32


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does what `conv`, which has no bias, and `norm` do
    one after the other."""
    scale, shift = scale_and_shift(norm)
    return conv.weight * scale[:, None, None, None], shift


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """By what `norm` multiplies each channel, and what it adds then."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # type: ignore[operator, union-attr]
    return scale, norm.bias - norm.running_mean * scale  # type: ignore[operator]


class ConvNormLayer(nn.Module):
    """A convolution, batch norm and, if `act` names one, an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        act: str | None,
        eps: float,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps)
        self.activation = identity if act is None else activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, `outputs`, H, W) of (B, `inputs`, H, W)."""
        return self.activation(conv_norm(x, self.conv, self.norm))


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """`norm` of `conv` of `x` (B, C, H, W)."""
    if may_fold(norm):
        return F.conv2d(x, *folded(conv, norm), conv.stride, conv.padding)
    return norm(conv(x))


class Projection(nn.Sequential):
    """A convolution and its batch norm, as checkpoints number them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, eps: float = 1e-5
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps),
        )

    def forward(self, input: Tensor) -> Tensor:
        """(B, `outputs`, H, W) of (B, `inputs`, H, W)."""
        return conv_norm(input, self[0], self[1])  # type: ignore[arg-type]


class RepVggBlock(nn.Module):
    """The sum of a 3x3 and a 1x1 convolution (arXiv 2101.03697), which without training are one."""

    def __init__(self, width: int, *, act: str, eps: float) -> None:
        super().__init__()
        self.conv1 = ConvNormLayer(width, width, 3, act=None, eps=eps)
        self.conv2 = ConvNormLayer(width, width, 1, act=None, eps=eps)
        self.activation = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of (B, C, H, W)."""
        if may_fold(self.conv1.norm):
            weight, bias = folded(self.conv1.conv, self.conv1.norm)
            point, shift = folded(self.conv2.conv, self.conv2.norm)
            weight[:, :, 1:2, 1:2] += point
            return self.activation(F.conv2d(x, weight, bias + shift, padding=1))
        return self.activation(self.conv1(x) + self.conv2(x))


class CSPRepLayer(nn.Module):
    """Joins two maps that are given as one: a path of blocks beside a projection (arXiv
    1911.11929)."""

    BLOCKS = 3

    def __init__(self, width: int, inner: int, *, act: str, eps: float) -> None:
        super().__init__()
        self.conv1 = ConvNormLayer(width * 2, inner, act=act, eps=eps)
        self.conv2 = ConvNormLayer(width * 2, inner, act=act, eps=eps)
        blocks = (RepVggBlock(inner, act=act, eps=eps) for _ in range(self.BLOCKS))
        self.bottlenecks = nn.Sequential(*blocks)
        self.conv3 = (
            nn.Identity() if inner == width else ConvNormLayer(inner, width, act=act, eps=eps)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) of (B, 2 * C, H, W)."""
        return self.conv3(self.bottlenecks(self.conv1(x)) + self.conv2(x))
