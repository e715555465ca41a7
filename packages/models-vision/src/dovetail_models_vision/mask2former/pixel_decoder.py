"""Mask2Former's pixel decoder: maps of all sizes see each other, and the finest one makes masks.

B batch, C channels, H height, W width, S places of all maps, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail_models_vision.detection.deformable import (
    DeformableAttention,
    DeformableContext,
    own_places,
)
from dovetail_models_vision.detection.positions import SinePositions
from dovetail_models_vision.detection.transformer import DetectionLayer
from dovetail_models_vision.mask2former.configuration import LEVELS, NORM_GROUPS, Mask2FormerConfig

POINTS = 4
"""How many points of each map a place looks at."""
Run = Callable[..., Tensor]
"""`PreTrainedModel.run_layers`."""


def conv_norm(inputs: int, width: int, kernel: int, bias: bool = False) -> nn.Sequential:
    """A convolution that keeps height and width, and a group norm."""
    convolution = nn.Conv2d(inputs, width, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, width))


class Mask2FormerPixelDecoderEncoderOnly(nn.Module):
    """Layers in which every place looks at a few points of each map."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        width, dropout = config.feature_size, config.dropout
        self.layers = nn.ModuleList(
            DetectionLayer(
                DeformableAttention(width, config.num_attention_heads, LEVELS, POINTS),
                width,
                config.encoder_feedforward_dim,
                "relu",
                dropout=dropout,
                activation_dropout=dropout,
            )
            for _ in range(config.encoder_layers)
        )


class Mask2FormerPixelDecoder(nn.Module):
    """Lets the smallest maps see each other, and adds the result to larger ones."""

    def __init__(self, config: Mask2FormerConfig, channels: Sequence[int]) -> None:
        super().__init__()
        width = config.feature_size
        self.implementation = config._attn_implementation
        self.position_embedding = SinePositions(width // 2)
        self.input_projections = nn.ModuleList(
            conv_norm(inputs, width, 1, bias=True) for inputs in channels[::-1][:LEVELS]
        )
        self.level_embed = nn.Parameter(torch.zeros(LEVELS, width))
        self.encoder = Mask2FormerPixelDecoderEncoderOnly(config)
        self.mask_projection = nn.Conv2d(width, config.mask_feature_size, 1)
        smallest = min(config.feature_strides[-LEVELS:])
        self.larger = max(int(math.log2(smallest) - math.log2(config.common_stride)), 0)
        for number, inputs in enumerate(channels[: self.larger], 1):
            self.add_module(f"adapter_{number}", conv_norm(inputs, width, 1))
            self.add_module(
                f"layer_{number}", nn.Sequential(*conv_norm(width, width, 3), nn.ReLU())
            )

    def forward(self, features: Sequence[Tensor], run: Run) -> tuple[Tensor, list[Tensor]]:
        """The masks' features (B, C, H, W), and the three smallest maps (B, D, H, W), the smallest
        first, of the backbone's `features`."""
        maps = self.encode(features, run)
        for number in range(self.larger, 0, -1):
            lateral = self.get_submodule(f"adapter_{number}")(features[number - 1])
            size = lateral.shape[-2:]
            above = F.interpolate(maps[-1], size=size, mode="bilinear", align_corners=False)
            maps.append(self.get_submodule(f"layer_{number}")(lateral + above))
        return self.mask_projection(maps[-1]), maps[:LEVELS]

    def encode(self, features: Sequence[Tensor], run: Run) -> list[Tensor]:
        """The smallest maps (B, D, H, W) after they have seen each other."""
        small = features[::-1][:LEVELS]
        maps = [project(map_) for project, map_ in zip(self.input_projections, small, strict=True)]
        positions = [
            self.position_embedding(whole(map_), map_.dtype) + level[:, None, None]
            for map_, level in zip(maps, self.level_embed, strict=True)
        ]
        shapes = [(map_.shape[2], map_.shape[3]) for map_ in maps]
        states, places = (
            torch.cat([map_.flatten(2).mT for map_ in parts], 1) for parts in (maps, positions)
        )
        states = run(self.encoder.layers, states, self.context(states, places, shapes))
        parts = states.split([height * width for height, width in shapes], 1)
        return [part.mT.unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True)]

    def context(self, states: Tensor, places: Tensor, shapes: Any) -> DeformableContext:
        """The context of layers over `states` (B, S, D)."""
        order = torch.arange(states.shape[1], device=states.device)
        return DeformableContext(
            self.implementation,
            position_ids=order[None],
            positions=order,
            places=places,
            shapes=shapes,
            reference=own_places(shapes, states.new_ones(len(states), LEVELS, 2)),
        )


def whole(maps: Tensor) -> Tensor:
    """The mask (B, H, W) of `maps` that are picture everywhere."""
    return torch.ones(len(maps), *maps.shape[2:], dtype=torch.bool, device=maps.device)
