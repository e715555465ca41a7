"""Swin2SR's heads: from features to a larger picture.

B batch, D features, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 64
"""How many channels most heads have."""


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution of 3x3 that keeps height and width."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Upsample(nn.Module):
    """Convolutions whose channels become pixels, by 2 several times or by 3 once."""

    def __init__(self, scale: int, width: int) -> None:
        super().__init__()
        self.steps = [("convolution", 3)] if scale == 3 else [
            (f"convolution_{index}", 2) for index in range(scale.bit_length() - 1)
        ]  # fmt: skip
        for name, factor in self.steps:
            self.add_module(name, conv(width, factor**2 * width))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of `scale` times the height and width."""
        for name, factor in self.steps:
            maps = F.pixel_shuffle(self.get_submodule(name)(maps), factor)
        return maps


class UpsampleOneStep(nn.Module):
    """One convolution whose channels become pixels."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.scale = config.upscale
        self.conv = conv(config.embed_dim, self.scale**2 * config.num_channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """The picture (B, C, H, W) of features (B, D, h, w)."""
        return F.pixel_shuffle(self.conv(maps), self.scale)


class PixelShuffleUpsampler(nn.Module):
    """Several steps, with a convolution before and after."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.conv_before_upsample = conv(config.embed_dim, FEATURES)
        self.upsample = Upsample(config.upscale, FEATURES)
        self.final_convolution = conv(FEATURES, config.num_channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """The picture (B, C, H, W) of features (B, D, h, w)."""
        maps = F.leaky_relu(self.conv_before_upsample(maps))
        return self.final_convolution(self.upsample(maps))


class NearestConvUpsampler(nn.Module):
    """Each pixel becomes four, twice, with convolutions between."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.conv_before_upsample = conv(config.embed_dim, FEATURES)
        self.conv_up1, self.conv_up2 = conv(FEATURES, FEATURES), conv(FEATURES, FEATURES)
        self.conv_hr = conv(FEATURES, FEATURES)
        self.final_convolution = conv(FEATURES, config.num_channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """The picture (B, C, H, W) of features (B, D, h, w)."""
        maps = F.leaky_relu(self.conv_before_upsample(maps))
        for convolution in (self.conv_up1, self.conv_up2):
            maps = F.leaky_relu(convolution(F.interpolate(maps, scale_factor=2)), 0.2)
        return self.final_convolution(F.leaky_relu(self.conv_hr(maps), 0.2))


class PixelShuffleAuxUpsampler(nn.Module):
    """Several steps from a picture of the small size, added to the picture enlarged by bicubic
    interpolation, for compressed pictures."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.scale, channels = config.upscale, config.num_channels
        self.conv_bicubic = conv(channels, FEATURES)
        self.conv_before_upsample = conv(config.embed_dim, FEATURES)
        self.conv_aux = conv(FEATURES, channels)
        self.conv_after_aux = nn.Sequential(conv(channels, FEATURES), nn.LeakyReLU())
        self.upsample = Upsample(config.upscale, FEATURES)
        self.final_convolution = conv(FEATURES, config.num_channels_out)

    def forward(self, maps: Tensor, pixel_values: Tensor) -> Tensor:
        """The picture (B, C, H, W) of features (B, D, h, w) and what they were made of."""
        height, width = (size * self.scale for size in pixel_values.shape[-2:])
        large = F.interpolate(pixel_values, (height, width), mode="bicubic", align_corners=False)
        small = self.conv_aux(F.leaky_relu(self.conv_before_upsample(maps)))
        maps = self.upsample(self.conv_after_aux(small))[:, :, :height, :width]
        return self.final_convolution(maps + self.conv_bicubic(large))


HEADS = {
    "pixelshuffle": PixelShuffleUpsampler,
    "pixelshuffledirect": UpsampleOneStep,
    "nearest+conv": NearestConvUpsampler,
    "pixelshuffle_aux": PixelShuffleAuxUpsampler,
}
