"""Qwen2-VL's vision tower: pictures of any size in one row of patches (arXiv 2409.12191).

A patch spans two frames; its place in the frame turns queries and keys, half of the channels by the
row and half by the column. Frames do not see each other. At the end squares of patches become one
token. N patches of all pictures, D width, H heads, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import attention
from dovetail.layers.projections import Linear, linear
from dovetail.layers.rotary import apply_rotary, base_frequencies
from dovetail.modeling import PreTrainedModel
from dovetail_models_vision.qwen2_vl.configuration import Qwen2VLVisionConfig

EPSILON = 1e-6
"""Of all norms."""


@dataclass
class PatchContext(Context):
    """`runs` are how many frames of how many patches follow each other: (frames, patches)."""

    runs: list[tuple[int, int]] = field(default_factory=list)


class PatchEmbed(nn.Module):
    """Projects patches, each of which comes as one row of numbers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = (config.temporal_patch_size, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(config.in_channels, config.embed_dim, size, stride=size, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, D) of (N, C * frames * patch * patch)."""
        weight = self.proj.weight.flatten(1)
        if patches.dim() != 2 or patches.shape[1] != weight.shape[1]:
            raise ValueError(
                f"pixel_values of shape {tuple(patches.shape)} must be (patches, "
                f"{weight.shape[1]}), as the image processor makes them."
            )
        return linear(patches.to(weight.dtype), weight)


class VisionAttention(nn.Module):
    """Attention among the patches of each frame."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.head_dim = config.embed_dim // config.num_heads
        self.qkv = Linear(config.embed_dim, 3 * config.embed_dim)
        self.proj = Linear(config.embed_dim, config.embed_dim)

    def forward(self, hidden_states: Tensor, context: PatchContext) -> Tensor:
        projected = self.qkv(hidden_states).unflatten(-1, (3, -1, self.head_dim))  # (N, 3, H, E)
        query, key, value = projected.unbind(1)
        cos, sin = context.rotary  # type: ignore[misc] # the tower sets it
        query, key = apply_rotary(query.float(), key.float(), cos, sin)
        rows = (query.to(value.dtype), key.to(value.dtype), value)
        lengths = [frames * patches for frames, patches in context.runs]
        parts = zip(context.runs, *(states.split(lengths) for states in rows), strict=True)
        outputs = [self.attend(run, run_rows, context) for run, *run_rows in parts]
        return self.proj(torch.cat(outputs))

    def attend(self, run: tuple[int, int], rows: list[Tensor], context: Context) -> Tensor:
        """Attention (frames * patches, D) within each frame of a run of equally large ones."""
        query, key, value = (states.unflatten(0, run).transpose(1, 2) for states in rows)
        return attention(query, key, value, implementation=context.implementation).flatten(0, 1)


class VisionMlp(nn.Module):
    """Two layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = int(config.embed_dim * config.mlp_ratio)
        self.fc1 = Linear(config.embed_dim, width)
        self.act = activation(config.hidden_act)
        self.fc2 = Linear(width, config.embed_dim)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(hidden_states)))


class Qwen2VLVisionBlock(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, EPSILON)
        self.norm2 = nn.LayerNorm(config.embed_dim, EPSILON)
        self.attn = VisionAttention(config)
        self.mlp = VisionMlp(config)

    def forward(self, hidden_states: Tensor, context: PatchContext) -> Tensor:
        hidden_states = hidden_states + self.attn(self.norm1(hidden_states), context)
        return hidden_states + self.mlp(self.norm2(hidden_states))


class PatchMerger(nn.Module):
    """Makes one token of the language model of each square of patches."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.width = config.embed_dim * config.spatial_merge_size**2
        self.ln_q = nn.LayerNorm(config.embed_dim, EPSILON)
        self.mlp = nn.Sequential(
            Linear(self.width, self.width), nn.GELU(), Linear(self.width, config.hidden_size)
        )

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.mlp(self.ln_q(hidden_states).view(-1, self.width))


class Qwen2VisionTransformerPretrainedModel(PreTrainedModel):
    """The tower: from patches to the language model's tokens."""

    config_class = Qwen2VLVisionConfig
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["Qwen2VLVisionBlock"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbed(config)
        self.blocks = nn.ModuleList(Qwen2VLVisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config)
        self.post_init()

    def forward(self, hidden_states: Tensor, grid_thw: Tensor) -> Tensor:
        """Tokens (N / merge ** 2, hidden_size) of patches (N, C * frames * patch * patch), which
        belong to pictures of `grid_thw` (pictures, 3) patches along time, height and width.

        Raises:
            ValueError: the patches are not those of the grids.
        """
        grids = checked_grids(grid_thw, len(hidden_states), self.config.spatial_merge_size)
        hidden_states = self.patch_embed(hidden_states)
        places = torch.cat([self.places(*grid) for grid in grids]).to(hidden_states.device)
        context = PatchContext(
            self.config._attn_implementation,
            position_ids=places,
            positions=places,
            rotary=self.rotary(places),
            runs=frame_runs(grids),
        )
        return self.merger(self.run_layers(self.blocks, hidden_states, context))

    def places(self, frames: int, height: int, width: int) -> Tensor:
        """Row and column (frames * height * width, 2) of each patch, square by square."""
        merge = self.config.spatial_merge_size
        grid = torch.stack(
            torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1
        )
        squares = grid.unflatten(1, (-1, merge)).unflatten(0, (-1, merge)).transpose(1, 2)
        return squares.reshape(-1, 2).repeat(frames, 1)

    def rotary(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (N, E) by which patches at `places` (N, 2) turn, in float32."""
        width = self.config.embed_dim // self.config.num_heads
        frequencies = base_frequencies(width // 2, 10000.0, places.device)
        angles = (places[..., None] * frequencies).flatten(1)  # (N, E/2), rows before columns
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)


def frame_runs(grids: list[list[int]]) -> list[tuple[int, int]]:
    """Runs of frames of equally many patches, as (frames, patches)."""
    runs = groupby(grids, lambda grid: grid[1] * grid[2])
    return [(sum(frames for frames, *_ in run), patches) for patches, run in runs]


def checked_grids(grid_thw: Tensor, patches: int, merge: int) -> list[list[int]]:
    """The grids as lists.

    Raises:
        ValueError: they have no patches, are not whole squares or not of so many `patches`.
    """
    if grid_thw.dim() != 2 or grid_thw.shape[1] != 3:
        raise ValueError(
            f"grid_thw of shape {tuple(grid_thw.shape)} must be (pictures, 3): patches along time, "
            "height and width."
        )
    grids: list[list[int]] = grid_thw.tolist()
    for grid in grids:
        if min(grid) < 1 or grid[1] % merge or grid[2] % merge:
            raise ValueError(
                f"grid_thw has a picture of {grid} patches: height and width must be multiples of "
                f"{merge}, and none 0."
            )
    count = sum(frames * height * width for frames, height, width in grids)
    if count != patches:
        raise ValueError(
            f"grid_thw speaks of {count} patches and pixel_values holds {patches}: give the grids "
            "that the image processor made with these."
        )
    return grids
