"""From samples to frames: the convolutional feature encoder of Wav2Vec 2.0 (arXiv 2006.11477), and
which frames a padded sound has. B batch, S samples, T frames, C channels, D width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear


class FrameNorm(nn.LayerNorm):
    """A layer norm over the channels of (B, C, T)."""

    def forward(self, input: Tensor) -> Tensor:
        """Frames (B, C, T), normalized."""
        return super().forward(input.mT).mT


class FeatureConv(nn.Module):
    """A convolution, a norm (of layers, or of each channel over time; or none), an activation."""

    def __init__(self, config: Any, index: int) -> None:
        super().__init__()
        before = config.conv_dim[index - 1] if index else 1
        width = config.conv_dim[index]
        kernel, stride = config.conv_kernel[index], config.conv_stride[index]
        self.conv = nn.Conv1d(before, width, kernel, stride=stride, bias=config.conv_bias)
        self.layer_norm: nn.Module | None = None
        if config.feat_extract_norm == "layer":
            self.layer_norm = FrameNorm(width)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(width, width)
        self.activation = activation(config.feat_extract_activation)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Frames (B, C, T / stride) of frames (B, C, T)."""
        hidden_states = self.conv(hidden_states)
        if self.layer_norm is not None:
            hidden_states = self.layer_norm(hidden_states)
        return self.activation(hidden_states)


class FeatureEncoder(nn.Module):
    """Convolutions that make frames of samples."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        layers = range(len(config.conv_dim))
        self.conv_layers = nn.ModuleList(FeatureConv(config, index) for index in layers)

    def forward(self, input_values: Tensor) -> Tensor:
        """Frames (B, C, T) of samples (B, S)."""
        weight = next(self.parameters())
        hidden_states = input_values[:, None].to(weight.dtype)
        for layer in self.conv_layers:
            hidden_states = layer(hidden_states)
        return hidden_states


class FeatureProjection(nn.Module):
    """A norm over the channels, and the projection to the encoder's width."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_dim[-1], config.layer_norm_eps)
        self.projection = Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.feat_proj_dropout)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, C) projected (B, T, D), and normalized (B, T, C)."""
        normalized = self.layer_norm(frames)
        return self.dropout(self.projection(normalized)), normalized


def convolved(length: Any, kernels: Iterable[int], strides: Iterable[int]) -> Any:
    """How long what has `length` (a number or a tensor) is behind convolutions without padding."""
    for kernel, stride in zip(kernels, strides, strict=True):
        length = (length - kernel) // stride + 1
    return length


def check_samples(input_values: Tensor, config: Any) -> None:
    """Refuse what is not (B, S), and sounds too short for one frame.

    Raises:
        ValueError: either is so.
    """
    shape = tuple(input_values.shape)
    if len(shape) != 2:
        raise ValueError(f"input_values of shape {shape} must be (batch, samples): mono sounds.")
    least = 1
    for kernel, stride in zip(
        reversed(config.conv_kernel), reversed(config.conv_stride), strict=True
    ):
        least = (least - 1) * stride + kernel
    if shape[1] < least:
        raise ValueError(
            f"input_values hold {shape[1]} samples, where one frame needs {least}: pad the sound."
        )


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True (B, `frames`) at the first `lengths` (B,) frames of each sound."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
