"""Swin2SR: larger and cleaner pictures by a Swin V2 over pixels (arXiv 2209.11345).

Within windows, attention compares directions, not lengths, with a bias that a small network makes
of distances; norms follow what they norm. Every stage is added to its input. B batch, H height, W
width, D channels, T places of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import run_stages
from dovetail.heads import TaskHead
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.patches import check_channels, pair
from dovetail.layers.projections import Linear
from dovetail.layers.residual import DropPath
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput, ModelOutput, Tensors
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.heads import field_names
from dovetail_models_vision.swin.modeling import (
    Pass,
    SwinIntermediate,
    SwinOutput,
    flat,
)
from dovetail_models_vision.swin.windows import Windows, relative_positions
from dovetail_models_vision.swin2sr.configuration import Swin2SRConfig
from dovetail_models_vision.swin2sr.upsampling import HEADS, conv

MEAN = (0.4488, 0.4371, 0.4040)
"""The mean colour of the pictures that the model has seen."""
STEEPEST = 100.0
"""What directions are multiplied by, at most."""
HIDDEN = 512
"""The width of the network that makes biases of distances."""


@dataclass
class ImageSuperResolutionOutput(ModelOutput):
    """`reconstruction` is the picture (B, C, H, W), from 0 to 1."""

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class Swin2SRPatchEmbeddings(nn.Module):
    """A projection of each place and, if `normalised`, a norm."""

    def __init__(self, config: Swin2SRConfig, normalised: bool) -> None:
        super().__init__()
        self.projection = nn.Conv2d(config.embed_dim, config.embed_dim, 1)
        self.layernorm = nn.LayerNorm(config.embed_dim) if normalised else None

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, H, W, D) of maps (B, D, H, W)."""
        maps = self.projection(maps).permute(0, 2, 3, 1)
        return maps if self.layernorm is None else self.layernorm(maps)


class Swin2SREmbeddings(nn.Module):
    """What the stages begin with."""

    def __init__(self, config: Swin2SRConfig) -> None:
        super().__init__()
        self.patch_embeddings = Swin2SRPatchEmbeddings(config, normalised=True)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, maps: Tensor) -> Tensor:
        return self.dropout(self.patch_embeddings(maps))


class Swin2SRSelfAttention(nn.Module):
    """Attention within each window by the angles between queries and keys."""

    def __init__(self, config: Swin2SRConfig, heads: int, size: int) -> None:
        super().__init__()
        width = config.embed_dim
        self.size, self.head_dim = size, width // heads
        self.dropout_prob = config.attention_probs_dropout_prob
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), 10.0).log())
        self.continuous_position_bias_mlp = nn.Sequential(
            nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, heads, bias=False)
        )
        self.query = Linear(width, width, bias=config.qkv_bias)
        self.key = Linear(width, width, bias=False)
        self.value = Linear(width, width, bias=config.qkv_bias)

    def forward(
        self, windows: Tensor, layout: Windows, shared: Pass, recorder: Recorder | None
    ) -> Tensor:
        """The result (B * windows, T, D) for `windows`, which `layout` cut."""
        query, key, value = (
            split_heads(project(windows), self.head_dim)
            for project in (self.query, self.key, self.value)
        )
        scale = self.logit_scale.clamp(max=torch.tensor(STEEPEST).log().item()).exp()
        return attention(
            F.normalize(query, dim=-1) * scale,
            F.normalize(key, dim=-1),
            value,
            scale=1.0,
            bias=self.bias(layout, len(windows)).to(windows.dtype),
            dropout=self.dropout_prob * self.training,
            head_mask=shared.head_mask,
            implementation=shared.implementation,
            recorder=recorder,
        )

    def bias(self, layout: Windows, rows: int) -> Tensor:
        """What is added to the scores, (1 or rows, heads, T, T)."""
        device, dtype = self.logit_scale.device, self.logit_scale.dtype
        table = self.continuous_position_bias_mlp(distances(self.size).to(device, dtype))
        index = relative_positions(self.size).to(device)
        bias = 16 * table[index].permute(2, 0, 1)[None].sigmoid()
        mask = layout.mask(device)
        if mask is None:
            return bias
        return (bias + mask[:, None]).repeat(rows // len(mask), 1, 1, 1)


def distances(size: int) -> Tensor:
    """Rows and columns (N, 2) between two places of a window of `size`, on a scale on which far
    ones are near: logarithms, to 1 for 8 windows' widths."""
    steps = torch.arange(1 - size, size) * (8 / max(size - 1, 1))
    steps = steps.sign() * (steps.abs() + 1).log2() / 3
    return torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).flatten(0, 1)


class Swin2SRAttention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: Swin2SRConfig, heads: int, size: int) -> None:
        super().__init__()
        self.self = Swin2SRSelfAttention(config, heads, size)
        self.output = SwinOutput(config, config.embed_dim, config.embed_dim)


class Swin2SRLayer(nn.Module):
    """Attention and MLP with a norm behind each; every second layer shifts its windows by half."""

    def __init__(self, config: Swin2SRConfig, heads: int, shifts: bool) -> None:
        super().__init__()
        width, own = config.embed_dim, config.window_size
        smaller = min(pair(config.image_size))
        self.window_size = min(own, smaller)
        self.shift = own // 2 if shifts and smaller > own else 0
        self.attention = Swin2SRAttention(config, heads, self.window_size)
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.drop_path = DropPath(config.drop_path_rate)
        self.intermediate = SwinIntermediate(config, width)
        self.output = SwinOutput(config, int(config.mlp_ratio * width), width)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def forward(self, maps: Tensor, shared: Pass, recorder: Recorder | None) -> Tensor:
        layout = Windows.of(maps, self.window_size, self.shift, shrinks=False)
        windows = self.attention.self(layout.cut(maps), layout, shared, recorder)
        added = layout.join(self.attention.output(windows))
        maps = maps + self.drop_path(self.layernorm_before(added))
        return maps + self.drop_path(self.layernorm_after(self.output(self.intermediate(maps))))


class Swin2SRStage(nn.Module):
    """Layers and convolutions, added to their input."""

    def __init__(self, config: Swin2SRConfig, depth: int, heads: int) -> None:
        super().__init__()
        width = config.embed_dim
        self.layers = nn.ModuleList(
            Swin2SRLayer(config, heads, number % 2 == 1) for number in range(depth)
        )
        self.conv: nn.Module = conv(width, width)
        if config.resi_connection == "3conv":
            self.conv = nn.Sequential(
                conv(width, width // 4),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width // 4, width // 4, 1),
                nn.LeakyReLU(0.2),
                conv(width // 4, width),
            )
        self.patch_embed = Swin2SRPatchEmbeddings(config, normalised=False)

    def forward(self, maps: Tensor, shared: Pass) -> Tensor:
        """Weights are recorded of the last layer alone."""
        before = maps
        for number, layer in enumerate(self.layers, 1):
            maps = layer(maps, shared, shared.recorder if number == len(self.layers) else None)
        return before + self.patch_embed(self.conv(maps.permute(0, 3, 1, 2)))


class Swin2SREncoder(nn.Module):
    """Holds the stages under the checkpoint's name."""

    def __init__(self, config: Swin2SRConfig) -> None:
        super().__init__()
        sizes = zip(config.depths, config.num_heads, strict=True)
        self.stages = nn.ModuleList(Swin2SRStage(config, *size) for size in sizes)


class Swin2SRPreTrainedModel(PreTrainedModel):
    config_class = Swin2SRConfig
    base_model_prefix = "swin2sr"
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["Swin2SRStage"]


class Swin2SRModel(Swin2SRPreTrainedModel):
    """Features of every pixel."""

    def __init__(self, config: Swin2SRConfig) -> None:
        super().__init__(config)
        self.first_convolution = conv(config.num_channels, config.embed_dim)
        self.embeddings = Swin2SREmbeddings(config)
        self.encoder = Swin2SREncoder(config)
        self.layernorm = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_eps)
        self.conv_after_body = conv(config.embed_dim, config.embed_dim)
        self.post_init()

    def mean(self, like: Tensor) -> Tensor:
        """The mean colour (1, C, 1, 1); 0 for pictures that are not RGB."""
        config = self.config
        coloured = config.num_channels == config.num_channels_out == 3
        return like.new_tensor(MEAN).view(1, 3, 1, 1) if coloured else like.new_zeros(1, 1, 1, 1)

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None = None,
        *,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """Features (B, D, H, W) of pictures (B, C, H, W), mirrored at the right and the bottom up
        to whole windows; `head_mask` is (stages, heads) or (heads,)."""
        check_channels(pixel_values, self.config.num_channels)
        size = self.config.window_size
        below, right = (-length % size for length in pixel_values.shape[2:])
        pixels = F.pad(pixel_values.to(self.dtype), (0, right, 0, below), mode="reflect")
        first = self.first_convolution((pixels - self.mean(pixels)) * self.config.img_range)
        masks = self.expand_head_mask(head_mask)

        def step(index: int, maps: Tensor) -> Tensor:
            mask = None if masks is None else masks[index]
            shared = Pass(self.config._attn_implementation, recorder, mask)
            return self.encoder.stages[index](maps, shared)

        steps = [partial(step, index) for index in range(len(self.config.depths))]
        states = run_stages(self, steps, self.embeddings(first), None)
        if recorder is not None:
            for state in states[:-1]:
                recorder.add_hidden_state(flat(state))
            recorder.add_last_hidden_state(flat(states[-1]))
        body = self.layernorm(states[-1]).permute(0, 3, 1, 2)
        return BaseModelOutput(self.conv_after_body(body) + first)


class Swin2SRForImageSuperResolution(TaskHead, Swin2SRPreTrainedModel):
    """Larger, or with an empty ``config.upsampler`` cleaner, pictures."""

    body_class = Swin2SRModel

    def build_head(self) -> None:
        config = self.config
        if config.upsampler:
            self.upsample = HEADS[config.upsampler](config)
        else:
            self.final_convolution = conv(config.embed_dim, config.num_channels_out)

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ImageSuperResolutionOutput:
        """Pictures (B, C, H, W) from 0 to 1 as larger ones.

        Raises:
            ValueError: `labels` are given: there is no one loss for pictures.
        """
        if labels is not None:
            raise ValueError(
                "labels: super-resolution has no loss of its own here; leave labels out and "
                "compute one from reconstruction."
            )
        config, body = self.config, self.base_model
        outputs = body(pixel_values, head_mask=head_mask, return_dict=True, **kwargs)
        features, pixels = outputs.last_hidden_state, pixel_values.to(self.dtype)
        if not config.upsampler:
            height, width = pixels.shape[2:]
            made = pixels + self.final_convolution(features)[:, :, :height, :width]
        elif config.upsampler == "pixelshuffle_aux":
            made = self.upsample(features, pixels)
        else:
            made = self.upsample(features)
        made = made / config.img_range + body.mean(made)
        scale = config.upscale if config.upsampler else 1
        height, width = (size * scale for size in pixel_values.shape[2:])
        recorded = self.recorded(outputs, field_names(ImageSuperResolutionOutput))
        return ImageSuperResolutionOutput(reconstruction=made[:, :, :height, :width], **recorded)
