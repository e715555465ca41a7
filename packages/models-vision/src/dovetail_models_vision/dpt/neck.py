"""DPT's neck and heads: tokens become maps of several sizes, which are fused into one.

B batch, T tokens, D width, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.errors import ConfigError
from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail_models_vision.dpt.configuration import DPTConfig


def doubled(maps: Tensor) -> Tensor:
    """`maps` (B, C, H, W) at twice the height and width, corners in place."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)


class DPTReassembleLayer(nn.Module):
    """Other channels, and `factor` times the height and width."""

    def __init__(self, width: int, channels: int, factor: float) -> None:
        super().__init__()
        self.projection = nn.Conv2d(width, channels, 1)
        self.resize: nn.Module = nn.Identity()
        if factor > 1:
            times = int(factor)
            self.resize = nn.ConvTranspose2d(channels, channels, times, times)
        elif factor < 1:
            self.resize = nn.Conv2d(channels, channels, 3, int(1 / factor), 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, factor * H, factor * W)."""
        return self.resize(self.projection(maps))


class DPTReassembleStage(nn.Module):
    """Maps of tokens; stages that the config ignores are maps already."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.readout_type, self.ignored = config.readout_type, config.neck_ignore_stages
        self.activation = activation(config.hidden_act)
        own = None if config.is_hybrid else config.backbone_config
        width = config.hidden_size if own is None else own.hidden_size
        stages = range(len(config.neck_hidden_sizes))
        self.layers = nn.ModuleList(
            nn.Identity()
            if stage in self.ignored
            else DPTReassembleLayer(
                width, config.neck_hidden_sizes[stage], config.reassemble_factors[stage]
            )
            for stage in stages
        )
        if self.readout_type == "project":
            self.readout_projects = nn.ModuleList(
                nn.Identity() if stage in self.ignored else nn.Sequential(Linear(2 * width, width))
                for stage in stages
            )

    def forward(self, states: Sequence[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """Maps (B, C, H, W) of `states` (B, 1 + T, D), whose tokens lie in `grid`."""
        return [
            state if stage in self.ignored else self.layers[stage](self.read(stage, state, grid))
            for stage, state in enumerate(states)
        ]

    def read(self, stage: int, states: Tensor, grid: tuple[int, int]) -> Tensor:
        """The tokens as a map (B, D, H, W), the first, which stands for the picture, read into the
        others."""
        if states.dim() == 4:
            return states
        first, tokens = states[:, :1], states[:, 1:]
        if self.readout_type == "add":
            tokens = tokens + first
        elif self.readout_type == "project":
            both = torch.cat((tokens, first.expand_as(tokens)), -1)
            tokens = self.activation(self.readout_projects[stage](both))
        return tokens.transpose(1, 2).unflatten(2, grid)


class DPTPreActResidualLayer(nn.Module):
    """Two convolutions behind activations, added to their input."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width, norms = config.fusion_hidden_size, config.use_batch_norm_in_fusion_residual
        bias = config.use_bias_in_fusion_residual
        bias = not norms if bias is None else bias
        self.convolution1, self.convolution2 = (
            nn.Conv2d(width, width, 3, padding=1, bias=bias) for _ in range(2)
        )
        self.norms = norms
        if norms:
            self.batch_norm1, self.batch_norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, maps: Tensor) -> Tensor:
        """`maps` (B, C, H, W) and what is added to them."""
        added = self.convolution1(F.relu(maps))
        added = self.batch_norm1(added) if self.norms else added
        added = self.convolution2(F.relu(added))
        return maps + (self.batch_norm2(added) if self.norms else added)


class DPTFeatureFusionLayer(nn.Module):
    """Adds a larger map to what is fused so far, and doubles the size."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = config.fusion_hidden_size
        self.projection = nn.Conv2d(width, width, 1)
        self.residual_layer1 = DPTPreActResidualLayer(config)
        self.residual_layer2 = DPTPreActResidualLayer(config)

    def forward(self, maps: Tensor, other: Tensor | None = None) -> Tensor:
        """Maps (B, C, 2 H, 2 W) of what is fused and of an `other` map."""
        if other is not None:
            if other.shape != maps.shape:
                other = F.interpolate(other, maps.shape[-2:], mode="bilinear", align_corners=False)
            maps = maps + self.residual_layer1(other)
        return self.projection(doubled(self.residual_layer2(maps)))


class DPTFeatureFusionStage(nn.Module):
    """Fuses maps from the smallest to the largest."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DPTFeatureFusionLayer(config) for _ in config.neck_hidden_sizes)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What is fused after each map, the largest last."""
        fused: list[Tensor] = []
        for layer, map_ in zip(self.layers, reversed(maps), strict=True):
            fused.append(layer(fused[-1], map_) if fused else layer(map_))
        return fused


class DPTNeck(nn.Module):
    """Reassembles, brings all maps to one width, and fuses."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.check(config)
        # Swin V2's maps are maps already.
        as_maps = getattr(config.backbone_config, "model_type", None) == "swinv2"
        self.reassemble_stage = None if as_maps else DPTReassembleStage(config)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, config.fusion_hidden_size, 3, padding=1, bias=False)
            for width in config.neck_hidden_sizes
        )
        self.fusion_stage = DPTFeatureFusionStage(config)

    @staticmethod
    def check(config: DPTConfig) -> None:
        """Refuse another number of layers to be fused than there are stages."""
        indices, stages = config.backbone_out_indices, len(config.neck_hidden_sizes)
        if indices is None:
            own = config.backbone_config
            count = stages if own is None else len(own.out_features)
            what = f"backbone_config.out_features={getattr(own, 'out_features', None)}"
        else:
            count, what = len(indices), f"backbone_out_indices={indices}"
            if not all(0 <= index < config.num_hidden_layers for index in indices):
                raise ConfigError(
                    f"{what} must name layers from 0 to {config.num_hidden_layers - 1}, as "
                    "num_hidden_layers says."
                )
        if count != stages:
            raise ConfigError(
                f"{what} must be {stages}, one for each of neck_hidden_sizes="
                f"{config.neck_hidden_sizes}."
            )

    def forward(self, states: Sequence[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """Fused maps (B, C, H, W), the largest last, of the states of all stages."""
        maps = states if self.reassemble_stage is None else self.reassemble_stage(states, grid)
        return self.fusion_stage(
            [convolution(map_) for convolution, map_ in zip(self.convs, maps, strict=True)]
        )


class DPTDepthEstimationHead(nn.Module):
    """A number, not negative, for each pixel."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = config.fusion_hidden_size
        self.projection = nn.Conv2d(width, width, 3, padding=1) if config.add_projection else None
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(width // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Depths (B, 2 H, 2 W) of `maps` (B, C, H, W)."""
        if self.projection is not None:
            maps = F.relu(self.projection(maps))
        return self.head(maps)[:, 0]


class DPTSemanticSegmentationHead(nn.Module):
    """Logits of each pixel's class."""

    def __init__(self, config: Any, dropout: float) -> None:
        super().__init__()
        width = config.fusion_hidden_size
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, config.num_labels, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (B, labels, H, W) of `maps` (B, C, H, W)."""
        return self.head(maps)
