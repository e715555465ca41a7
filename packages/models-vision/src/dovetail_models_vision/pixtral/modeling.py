"""Pixtral's image encoder: pictures of any size in one row of patches, each of which attends to its
own picture, with rotary positions by row and column (arXiv 2410.07073).

The language model around it is LLaVA. C channels, H height, W width, T patches of all pictures,
E head width, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.patches import PatchEmbedding
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import apply_rotary, base_frequencies
from dovetail.masks import Mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.pixtral.configuration import PixtralVisionConfig

EPS = 1e-5
"""Of all norms."""


@dataclass
class Pictures(Context):
    """Of pictures one after another in a row; `counts` are the patches of each."""

    counts: Sequence[int] = ()

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, layer_idx: int, **options: Any
    ) -> Tensor:
        """Picture by picture, so that none takes memory for the patches of others; when weights
        are recorded, at once."""
        recorded = self.recorder is not None and self.recorder.attentions
        if recorded or len(self.counts) == 1:
            return super().attend(query, key, value, layer_idx, **options)
        parts = zip(*(states.split(self.counts, 2) for states in (query, key, value)), strict=True)
        return torch.cat(
            [attention(*part, implementation=self.implementation, **options) for part in parts], 1
        )


def rotations(grids: Sequence[tuple[int, int]], like: Tensor, config: Any) -> tuple[Tensor, Tensor]:
    """Cosines and sines (1, T, E) of the patches of pictures of so many (rows, columns): channels
    turn by row and by column in alternation of frequencies."""
    frequencies = base_frequencies(config.head_dim, config.rope_theta, like.device)
    angles = []
    for rows, columns in grids:
        row, column = (torch.arange(n, device=like.device)[:, None] for n in (rows, columns))
        both = (row * frequencies[::2])[:, None], (column * frequencies[1::2])[None]
        angles.append(torch.cat([one.expand(rows, columns, -1) for one in both], -1).flatten(0, 1))
    turned = torch.cat(angles)[None]  # (1, T, E/2)
    cos, sin = turned.cos(), turned.sin()
    return torch.cat((cos, cos), -1).to(like.dtype), torch.cat((-sin, sin), -1).to(like.dtype)


class PixtralAttention(nn.Module):
    """Rotary attention within a picture."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx, self.head_dim = layer_idx, config.head_dim
        self.dropout = config.attention_dropout
        width = config.hidden_size
        self.k_proj, self.v_proj, self.q_proj, self.o_proj = (
            Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = (
            split_heads(project(hidden_states), self.head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = apply_rotary(query, key, *context.rotary)  # type: ignore[misc]
        dropout = self.dropout * self.training
        return self.o_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class PixtralAttentionLayer(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention_norm = RMSNorm(width, EPS)
        self.feed_forward = GatedMLP(width, config.intermediate_size, config.hidden_act)
        self.attention = PixtralAttention(config, layer_idx)
        self.ffn_norm = RMSNorm(width, EPS)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.attention(self.attention_norm(hidden_states), context)
        return hidden_states + self.feed_forward(self.ffn_norm(hidden_states))


class PixtralTransformer(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            PixtralAttentionLayer(config, index) for index in range(config.num_hidden_layers)
        )


class PixtralPreTrainedModel(PreTrainedModel):
    config_class = PixtralVisionConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["PixtralAttentionLayer"]


class PixtralVisionModel(PixtralPreTrainedModel):
    """The encoder."""

    base_model_prefix = "vision_encoder"
    input_embeddings = "patch_conv"

    def __init__(self, config: PixtralVisionConfig) -> None:
        super().__init__(config)
        self.patch_conv = PatchEmbedding(
            config.image_size,
            config.patch_size,
            config.num_channels,
            config.hidden_size,
            bias=False,
        )
        self.ln_pre = RMSNorm(config.hidden_size, EPS)
        self.transformer = PixtralTransformer(config)
        self.post_init()

    @backbone
    def forward(self, pixel_values: Any, recorder: Recorder | None = None) -> BaseModelOutput:
        """Hidden states (1, T, D) of the patches of pictures (C, H, W), one after another: a list
        of pictures of any size, lists of them, or a batch of one size.

        Raises:
            ValueError: there is no picture, or one has an edge beyond ``config.image_size``.
        """
        pictures = listed(pixel_values)
        grids = [self.grid(picture) for picture in pictures]
        patches = [self.patch_conv(picture[None], True)[0] for picture in pictures]
        hidden_states = self.ln_pre(torch.cat(patches)[None])
        shared = self.encoder_context(hidden_states, None, recorder=recorder)
        context = Pictures(**vars(shared), counts=[len(one) for one in patches])
        if len(patches) > 1:
            counts = torch.tensor(context.counts, device=hidden_states.device)
            numbers = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
            context.mask = Mask(len(numbers), len(numbers), segments=numbers[None])
        context.rotary = rotations(grids, hidden_states, self.config)
        return BaseModelOutput(self.run_layers(self.transformer.layers, hidden_states, context))

    def grid(self, picture: Tensor) -> tuple[int, int]:
        """Rows and columns of patches."""
        limit = self.config.image_size
        if picture.dim() != 3 or max(picture.shape[1:]) > limit:
            raise ValueError(
                f"pixel_values hold a picture of shape {tuple(picture.shape)}, which must be "
                f"(channels, height, width) with edges of at most image_size={limit} pixels: let "
                "the image processor shrink it."
            )
        return self.patch_conv.grid(*picture.shape[1:])


def listed(pictures: Any) -> list[Tensor]:
    """Pictures (C, H, W) in nested lists or batches as one list."""
    if isinstance(pictures, Tensor) and pictures.dim() <= 3:
        return [pictures]
    found = [picture for group in pictures for picture in listed(group)]
    if not found:
        raise ValueError("pixel_values hold no picture: give at least one.")
    return found
