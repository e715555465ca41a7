"""SAM's image encoder (arXiv 2304.02643): a ViT for detection (arXiv 2203.16527), with relative
positions along each axis (arXiv 2112.01526).

B images, N windows of all images, H heads, E head width, C channels, D width, h and w patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail_models_vision.sam.configuration import SamVisionConfig


class SamLayerNorm(nn.LayerNorm):
    """A layer norm over the channels of (B, C, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class SamMLP(nn.Module):
    """Two linear layers with an activation between."""

    def __init__(self, width: int, inner: int, act: str) -> None:
        super().__init__()
        self.lin1, self.lin2 = Linear(width, inner), Linear(inner, width)
        self.act = activation(act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(hidden_states)))


class SamPatchEmbeddings(nn.Module):
    """Patches as vectors."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        self.image_size, self.num_channels = config.image_size, config.num_channels
        size = config.patch_size
        self.projection = nn.Conv2d(config.num_channels, config.hidden_size, size, size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Embeddings (B, h, w, D) of `pixel_values` (B, C, H, W)."""
        expected = (self.num_channels, self.image_size, self.image_size)
        if pixel_values.dim() != 4 or pixel_values.shape[1:] != expected:
            raise ValueError(
                f"pixel_values have the shape {tuple(pixel_values.shape)}, the model takes (batch, "
                f"{expected[0]}, {expected[1]}, {expected[2]}): prepare images with "
                "SamImageProcessor."
            )
        pixels = pixel_values.to(self.projection.weight.dtype)
        return self.projection(pixels).permute(0, 2, 3, 1)


class SamVisionAttention(nn.Module):
    """Attention of every patch of a square of `side` patches to every other."""

    def __init__(self, config: SamVisionConfig, layer_idx: int, side: int) -> None:
        super().__init__()
        self.layer_idx, self.dropout = layer_idx, config.attention_dropout
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size, bias=config.qkv_bias)
        self.proj = Linear(config.hidden_size, config.hidden_size)
        self.relative = config.use_rel_pos
        if self.relative:
            shape = (2 * side - 1, self.head_dim)
            self.rel_pos_h = nn.Parameter(torch.zeros(shape))
            self.rel_pos_w = nn.Parameter(torch.zeros(shape))

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        _, height, width, _ = hidden_states.shape
        states = self.qkv(hidden_states).flatten(1, 2).unflatten(-1, (3, -1, self.head_dim))
        query, key, value = states.permute(2, 0, 3, 1, 4)  # (N, H, h * w, E) each
        attended = context.attend(
            query,
            key,
            value,
            self.layer_idx,
            bias=self.position_bias(query, height, width) if self.relative else None,
            dropout=self.dropout * self.training,
        )
        return self.proj(attended).view(hidden_states.shape)

    def position_bias(self, query: Tensor, height: int, width: int) -> Tensor:
        """Scores (N, H, h * w, h * w) of how many rows and columns patches are apart, as the query
        sees it."""
        grid = query.unflatten(2, (height, width))
        rows = torch.einsum("nhyxe,yke->nhyxk", grid, by_distance(self.rel_pos_h, height))
        columns = torch.einsum("nhyxe,xke->nhyxk", grid, by_distance(self.rel_pos_w, width))
        return (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)


def by_distance(table: Tensor, size: int) -> Tensor:
    """Rows (size, size, E) of `table` (2 * size - 1, E), by place of query minus place of key."""
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places + size - 1]


class SamVisionLayer(nn.Module):
    """Pre-norm attention, within windows of `window` patches unless that is 0, and MLP."""

    def __init__(self, config: SamVisionConfig, layer_idx: int) -> None:
        super().__init__()
        self.window = 0 if layer_idx in config.global_attn_indexes else config.window_size
        width, eps = config.hidden_size, config.layer_norm_eps
        side = self.window or config.image_size // config.patch_size
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = SamVisionAttention(config, layer_idx, side)
        self.mlp = SamMLP(width, config.mlp_dim or 0, config.hidden_act)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        normed = self.layer_norm1(hidden_states)
        if self.window:
            windows = self.attn(split_windows(normed, self.window), context)
            attended = join_windows(windows, hidden_states.shape)
        else:
            attended = self.attn(normed, context)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


def split_windows(states: Tensor, size: int) -> Tensor:
    """Windows (N, size, size, D) of `states` (B, h, w, D), zeros beyond the edges."""
    _, height, width, _ = states.shape
    padded = F.pad(states, (0, 0, 0, -width % size, 0, -height % size))
    tiles = padded.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # (B, rows, s, columns, s, D)
    return tiles.transpose(2, 3).flatten(0, 2)


def join_windows(windows: Tensor, shape: torch.Size) -> Tensor:
    """States of `shape` (B, h, w, D) from their windows, as `split_windows` makes them."""
    batch, height, width, _ = shape
    size = windows.shape[1]
    rows = -(-height // size)
    tiles = windows.unflatten(0, (batch, rows, -1)).transpose(2, 3)
    return tiles.flatten(3, 4).flatten(1, 2)[:, :height, :width]


class SamVisionNeck(nn.Module):
    """Two convolutions down to the channels that masks are decoded from."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        channels = config.output_channels
        self.conv1 = nn.Conv2d(config.hidden_size, channels, 1, bias=False)
        self.layer_norm1 = SamLayerNorm(channels, 1e-6)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.layer_norm2 = SamLayerNorm(channels, 1e-6)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Image embeddings (B, C, h, w) of `hidden_states` (B, h, w, D)."""
        features = self.layer_norm1(self.conv1(hidden_states.permute(0, 3, 1, 2)))
        return self.layer_norm2(self.conv2(features))


class SamVisionEncoder(nn.Module):
    """Holds the parts of the encoder under the checkpoint's names."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        side = config.image_size // config.patch_size
        self.patch_embed = SamPatchEmbeddings(config)
        self.pos_embed = (
            nn.Parameter(torch.zeros(1, side, side, config.hidden_size))
            if config.use_abs_pos
            else None
        )
        self.layers = nn.ModuleList(
            SamVisionLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.neck = SamVisionNeck(config)

    def embed(self, pixel_values: Tensor) -> Tensor:
        """Patches with their positions (B, h, w, D)."""
        embeddings = self.patch_embed(pixel_values)
        return embeddings if self.pos_embed is None else embeddings + self.pos_embed
