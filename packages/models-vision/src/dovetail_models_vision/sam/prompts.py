"""SAM's prompts as vectors: random Fourier features (arXiv 2006.10739) of places, a learned vector
for what is there, and convolutions over masks.

B images, P prompts of an image, N points of a prompt, D width, h and w patches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.activations import activation
from dovetail_models_vision.sam.configuration import SamPromptEncoderConfig, SamVisionConfig
from dovetail_models_vision.sam.vision import SamLayerNorm

NOT_A_POINT, IGNORED = -1, -10
"""Labels of points that stand for nothing: with a vector that says so, or with zeros."""
TOP_LEFT, BOTTOM_RIGHT = 2, 3
"""Where `point_embed` holds the corners of boxes; background and foreground points are 0 and 1."""


class SamPositionalEmbedding(nn.Module):
    """Sines and cosines of random projections of a place; drawn once, never trained."""

    positional_embedding: Tensor

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        self.spread = config.hidden_size // 2
        self.register_buffer("positional_embedding", torch.zeros(2, config.num_pos_feats))

    def draw(self) -> None:
        """Choose the projections."""
        self.positional_embedding.normal_(std=self.spread)

    def forward(self, places: Tensor) -> Tensor:
        """Embeddings (..., D) of `places` (..., 2), x and y between 0 and 1."""
        matrix = self.positional_embedding
        angles = (2 * places - 1).float() @ matrix.float() * (2 * math.pi)  # many turns
        return torch.cat((angles.sin(), angles.cos()), -1).to(matrix.dtype)

    def grid(self, size: int) -> Tensor:
        """Embeddings (1, D, size, size) of the middles of all patches."""
        steps = torch.arange(size, device=self.positional_embedding.device) + 0.5
        y, x = torch.meshgrid(steps / size, steps / size, indexing="ij")
        return self(torch.stack((x, y), -1)).permute(2, 0, 1)[None]


class SamMaskEmbedding(nn.Module):
    """Masks at a quarter of the image's size, convolved down to patches."""

    def __init__(self, config: SamPromptEncoderConfig) -> None:
        super().__init__()
        channels, eps = config.mask_input_channels, config.layer_norm_eps
        self.activation = activation(config.hidden_act)
        self.conv1 = nn.Conv2d(1, channels // 4, kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(channels // 4, channels, kernel_size=2, stride=2)
        self.conv3 = nn.Conv2d(channels, config.hidden_size, kernel_size=1)
        self.layer_norm1 = SamLayerNorm(channels // 4, eps)
        self.layer_norm2 = SamLayerNorm(channels, eps)

    def forward(self, masks: Tensor) -> Tensor:
        states = self.activation(self.layer_norm1(self.conv1(masks)))
        return self.conv3(self.activation(self.layer_norm2(self.conv2(states))))


class SamPromptEncoder(nn.Module):
    """Points and boxes as tokens, masks as an addition to the image."""

    def __init__(self, config: SamPromptEncoderConfig, positions: SamPositionalEmbedding) -> None:
        super().__init__()
        width = config.hidden_size
        self.image_size = config.image_size
        self.side = config.image_size // config.patch_size
        self.shared_embedding = positions
        self.mask_embed = SamMaskEmbedding(config)
        self.no_mask_embed = nn.Embedding(1, width)
        self.point_embed = nn.ModuleList(
            nn.Embedding(1, width) for _ in range(config.num_point_embeddings)
        )
        self.not_a_point_embed = nn.Embedding(1, width)

    def forward(
        self,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, P, N, D), none of them without points and boxes, and what is added to the
        image's embedding (B, D, h, w).

        `points` (B, P, N, 2) are x and y in pixels, `labels` (B, P, N) say what they are, `boxes`
        (B, P, 4) are two corners, `masks` are (B, 1, 4h, 4w).
        """
        tokens = []
        if points is not None:
            if labels is None:
                raise ValueError("input_points need input_labels, 1 for what is meant.")
            if boxes is None:  # the model was trained with a place for corners
                points, labels = F.pad(points, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)
            tokens.append(self.embed_points(points, labels))
        if boxes is not None:
            tokens.append(self.embed_boxes(boxes))
        weight = self.no_mask_embed.weight
        if masks is not None:
            dense = self.mask_embed(masks.to(weight.dtype))
        else:
            dense = weight[..., None, None].expand(-1, -1, self.side, self.side)
        sparse = torch.cat(tokens, 2) if tokens else weight.new_zeros(1, 1, 0, weight.shape[1])
        return sparse, dense.expand(max(len(sparse), len(dense)), -1, -1, -1)

    def embed_places(self, places: Tensor) -> Tensor:
        """Embeddings of pixels (..., 2), by their middles."""
        return self.shared_embedding((places.float() + 0.5) / self.image_size)

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """Tokens (B, P, N, D)."""
        label = labels[..., None]
        tokens = self.embed_places(points)
        tokens = torch.where(label == NOT_A_POINT, self.not_a_point_embed.weight, tokens)
        tokens = tokens.masked_fill(label == IGNORED, 0)
        for kind in range(TOP_LEFT):
            tokens = tokens + (label == kind) * self.kind(kind)
        return tokens

    def embed_boxes(self, boxes: Tensor) -> Tensor:
        """Tokens (B, P, 2, D) of the corners."""
        kinds = torch.cat((self.kind(TOP_LEFT), self.kind(BOTTOM_RIGHT)))
        return self.embed_places(boxes.unflatten(-1, (2, 2))) + kinds

    def kind(self, index: int) -> Tensor:
        """The vector (1, D) of a kind of point."""
        return self.point_embed.get_parameter(f"{index}.weight")
