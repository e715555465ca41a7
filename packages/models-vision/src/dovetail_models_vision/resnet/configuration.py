"""Configuration of ResNet."""

from __future__ import annotations

from typing import ClassVar, Literal

from dovetail.config_backbone import BackboneConfigMixin
from dovetail.config_fields import LayerCount, Size
from dovetail.errors import ConfigError


class ResNetConfig(BackboneConfigMixin):
    """Sizes of a ResNet; the defaults are those of ``microsoft/resnet-50``.

    `layer_type` is ``basic``, two 3x3 convolutions, or ``bottleneck``, one between two of 1x1. The
    first stage halves height and width where `downsample_in_first_stage`, the others always;
    `downsample_in_bottleneck` does so in the first of the three convolutions.
    """

    model_type: ClassVar[str] = "resnet"

    num_channels: Size = 3
    embedding_size: Size = 64
    hidden_sizes: list[Size] = [256, 512, 1024, 2048]  # noqa: RUF012 - copied for each instance
    depths: list[LayerCount] = [3, 4, 6, 3]  # noqa: RUF012 - copied for each instance
    layer_type: Literal["basic", "bottleneck"] = "bottleneck"
    hidden_act: str = "relu"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False
    out_features: list[str] | None = None
    out_indices: list[int] | None = None

    def check(self) -> None:
        """Refuse another number of widths than of depths."""
        if len(self.hidden_sizes) != len(self.depths):
            raise ConfigError(
                f"hidden_sizes={self.hidden_sizes} and depths={self.depths} must have one entry "
                "for each stage: make them equally long."
            )
