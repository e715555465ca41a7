"""Images as sequences: patches, and the positions of patches in images of other sizes.

B batch, C channels, H height, W width, N patches, D embedding width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Grid = tuple[int, int]
"""Rows and columns."""


def pair(size: int | list[int] | tuple[int, ...]) -> Grid:
    """Height and width of `size`, which is one number for a square."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def check_channels(pixel_values: Tensor, channels: int) -> None:
    """Refuse what is no batch of images of so many `channels` with a ValueError."""
    shape = tuple(pixel_values.shape)
    if len(shape) != 4 or shape[1] != channels:
        raise ValueError(
            f"pixel_values of shape {shape} must be (batch, {channels}, height, width)."
        )


class PatchEmbedding(nn.Conv2d):
    """Cuts images into patches and projects each of them."""

    def __init__(
        self,
        image_size: int | list[int],
        patch_size: int | list[int],
        channels: int,
        width: int,
        bias: bool = True,
    ) -> None:
        patch = pair(patch_size)
        super().__init__(channels, width, patch, stride=patch, bias=bias)
        self.image_size, self.patch_size = pair(image_size), patch

    def grid(self, height: int, width: int) -> Grid:
        """Rows and columns of patches of an image."""
        return height // self.patch_size[0], width // self.patch_size[1]

    @property
    def own_grid(self) -> Grid:
        """Rows and columns of patches of an image of the size that the model was made for."""
        return self.grid(*self.image_size)

    @property
    def count(self) -> int:
        """How many patches such an image has."""
        rows, columns = self.own_grid
        return rows * columns

    def forward(self, input: Tensor, any_size: bool = False) -> Tensor:
        """Patches (B, N, D), row by row, of images (B, C, H, W).

        Raises:
            ValueError: images of other channels or, without `any_size`, of another size.
        """
        self.check(input, any_size)
        return super().forward(input.to(self.weight.dtype)).flatten(2).transpose(1, 2)

    def check(self, pixel_values: Tensor, any_size: bool) -> None:
        """Refuse images that the model cannot read."""
        check_channels(pixel_values, self.in_channels)
        shape = tuple(pixel_values.shape)
        if not any_size and shape[2:] != self.image_size:
            raise ValueError(
                f"pixel_values are {shape[2]} by {shape[3]} pixels, where the model reads "
                f"{self.image_size[0]} by {self.image_size[1]}: resize the images, or pass "
                "interpolate_pos_encoding=True if the model takes it."
            )
        if min(self.grid(*shape[2:])) < 1:
            raise ValueError(
                f"pixel_values are {shape[2]} by {shape[3]} pixels, less than one patch of "
                f"{self.patch_size[0]} by {self.patch_size[1]}."
            )


def resample_positions(
    positions: Tensor, before: Grid, after: Grid, mode: str = "bicubic"
) -> Tensor:
    """Position embeddings (1, extra + N, D) of a grid of patches, resampled for another grid; those
    of extra tokens in front stay."""
    if before == after:
        return positions
    extra = positions.shape[1] - before[0] * before[1]
    image = positions[:, extra:].unflatten(1, before).permute(0, 3, 1, 2)  # (1, D, rows, columns)
    image = F.interpolate(image.float(), size=after, mode=mode, align_corners=False)
    patches = image.to(positions.dtype).flatten(2).transpose(1, 2)
    return torch.cat((positions[:, :extra], patches), 1)
