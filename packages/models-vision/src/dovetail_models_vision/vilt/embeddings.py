"""How ViLT puts texts and images into one sequence.

B batch, T tokens, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.patches import Grid
from dovetail_models_text.bert.modeling import BertEmbeddings
from dovetail_models_vision.vilt.configuration import ViltConfig
from dovetail_models_vision.vit.modeling import ViTPatchEmbeddings

FIRST_IMAGE = 1
"""The modality of a text's first image; that of texts is 0."""


class ViltEmbeddings(nn.Module):
    """Tokens of the text, and patches of the image behind one that stands for it, each with its
    modality."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.text_embeddings = BertEmbeddings(config)  # type: ignore[arg-type]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embeddings = ViTPatchEmbeddings(config)
        count = self.patch_embeddings.projection.count
        self.position_embeddings = nn.Parameter(torch.zeros(1, count + 1, width))
        self.token_type_embeddings = nn.Embedding(config.modality_type_vocab_size, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.longest = config.max_image_length

    def text(self, tokens: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Embeddings (B, T, D) of tokens (B, T, D)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        embedded = self.text_embeddings(tokens, token_type_ids, positions)
        return embedded + self.token_type_embeddings.weight[0]

    def image(self, pixel_values: Tensor, pixel_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embeddings (B, 1 + N, D) of images (B, C, H, W) in the upper left of what `pixel_mask`
        (B, H, W) marks, and which of them (B, 1 + N) are of the image.

        N is the number of patches of the largest image, or what the config allows.
        """
        projection = self.patch_embeddings.projection
        patches = self.patch_embeddings(pixel_values, True)
        grid = projection.grid(*pixel_values.shape[2:])
        seen = patch_mask(pixel_mask, len(patches), grid, patches.device)
        heights, widths = seen[:, :, 0].sum(1), seen[:, 0].sum(1)
        positions = self.positions(list(zip(heights.tolist(), widths.tolist(), strict=True)), grid)
        chosen = choice(seen.flatten(1), int((heights * widths).max()), self.longest)
        rows = torch.arange(len(patches), device=patches.device)[:, None]
        first = (self.cls_token + self.position_embeddings[:, :1]).expand(len(patches), -1, -1)
        embedded = torch.cat((first, (patches + positions)[rows, chosen]), 1)
        mask = F.pad(seen.flatten(1)[rows, chosen], (1, 0), value=True)
        return self.dropout(embedded), mask

    def positions(self, sizes: list[Grid], grid: Grid) -> Tensor:
        """Positions (B, N, D) of patches in images of `sizes`, resampled from those of a whole
        square, in the upper left of `grid`."""
        own = self.patch_embeddings.projection.own_grid
        square = self.position_embeddings[:, 1:].unflatten(1, own).permute(0, 3, 1, 2)
        resampled = {}
        for height, width in set(sizes):
            image = F.interpolate(square, (height, width), mode="bilinear", align_corners=True)
            margins = (0, grid[1] - width, 0, grid[0] - height)
            resampled[height, width] = F.pad(image, margins).flatten(2).transpose(1, 2)
        return torch.cat([resampled[size] for size in sizes])

    def with_modality(self, image: Tensor, modality: int | None) -> Tensor:
        """Embeddings (B, 1 + N, D) of an image as those of the image number `modality`."""
        number = FIRST_IMAGE if modality is None else modality
        if not 0 <= number < self.token_type_embeddings.num_embeddings:
            raise ValueError(
                f"image_token_type_idx={number} is not below config.modality_type_vocab_size="
                f"{self.token_type_embeddings.num_embeddings}."
            )
        return image + self.token_type_embeddings.weight[number]


def patch_mask(pixel_mask: Tensor | None, count: int, grid: Grid, device: torch.device) -> Tensor:
    """Which patches (B, rows, columns) belong to the image; all without a mask of pixels.

    Raises:
        ValueError: there is an image without a patch.
    """
    if pixel_mask is None:
        return torch.ones(count, *grid, dtype=torch.bool, device=device)
    if pixel_mask.dim() != 3 or len(pixel_mask) != count:
        raise ValueError(
            f"pixel_mask of shape {tuple(pixel_mask.shape)} must be (batch, height, width) for "
            f"{count} images."
        )
    seen = F.interpolate(pixel_mask[:, None].float(), size=grid)[:, 0] > 0
    if not bool(seen[:, 0, 0].all()):
        raise ValueError("pixel_mask marks no patch in the upper left of some image.")
    return seen


def choice(seen: Tensor, count: int, longest: int) -> Tensor:
    """The numbers (B, N) of the patches that a model gets of those `seen` (B, all): `count`, of
    which not all rows may have as many, or at most `longest`, by chance, if that is above 0."""
    keys = (~seen).float()
    if 0 < longest < count:
        count = longest
        keys = keys + torch.rand_like(keys)
    return keys.argsort(dim=1, stable=True)[:, :count]
