"""Swin: attention within windows that shift from layer to layer (arXiv 2103.14030).

Patches are a map, (B, H, W, D) throughout; between stages four neighbours merge into one patch of
twice the width. B batch, H height, W width, D channels, N patches, T patches of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import BackboneMixin, run_stages
from dovetail.layers.activations import activation
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.patches import check_channels, resample_positions
from dovetail.layers.projections import Linear
from dovetail.layers.residual import DropPath, drop_path_rates
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPooling, ModelOutput, Tensors
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.heads import ForImageClassification, ForMaskedImageModeling
from dovetail_models_vision.swin.configuration import SwinConfig
from dovetail_models_vision.swin.windows import Windows, relative_positions


@dataclass
class SwinModelOutput(BaseModelOutputWithPooling):
    """`hidden_states` are (B, N, D), and `reshaped_hidden_states` the same as maps (B, D, H, W)."""

    reshaped_hidden_states: Tensors | None = None


@dataclass
class SwinImageClassifierOutput(ModelOutput):
    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    reshaped_hidden_states: Tensors | None = None


@dataclass
class SwinMaskedImageModelingOutput(ModelOutput):
    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    reshaped_hidden_states: Tensors | None = None


@dataclass
class Pass:
    """What the layers of one forward pass share; `shrinks` says whether a window does that is
    larger than its map, `windows` how maps are cut."""

    implementation: str
    recorder: Recorder | None = None
    head_mask: Tensor | None = None
    shrinks: bool = True
    windows: type[Windows] = Windows


class SwinPatchEmbeddings(nn.Module):
    """Cuts images into patches; what is missing of the last ones is black."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Conv2d(
            config.num_channels, config.embed_dim, self.patch_size, self.patch_size
        )

    def forward(self, pixel_values: Tensor) -> Tensor:
        check_channels(pixel_values, self.projection.in_channels)
        height, width = pixel_values.shape[2:]
        sides = (0, -width % self.patch_size, 0, -height % self.patch_size)
        pixel_values = F.pad(pixel_values.to(self.projection.weight.dtype), sides)
        return self.projection(pixel_values).permute(0, 2, 3, 1)  # (B, H, W, D)


class SwinEmbeddings(nn.Module):
    """Patches, normed, with learned positions if so configured."""

    def __init__(self, config: SwinConfig, use_mask_token: bool = False) -> None:
        super().__init__()
        self.patch_embeddings = SwinPatchEmbeddings(config)
        side = config.image_size // config.patch_size
        self.grid = side, side
        width = config.embed_dim
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width)) if use_mask_token else None
        self.position_embeddings = (
            nn.Parameter(torch.zeros(1, side * side, width))
            if config.use_absolute_embeddings
            else None
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Tensor:
        """The map (B, H, W, D) of images; `bool_masked_pos` (B, N) hides patches."""
        patches = self.norm(self.patch_embeddings(pixel_values))
        grid = (patches.shape[1], patches.shape[2])
        if bool_masked_pos is not None:
            if self.mask_token is None:
                raise ValueError(
                    "bool_masked_pos needs a model with a mask token: build it with "
                    "use_mask_token=True."
                )
            hidden = bool_masked_pos.bool().view(-1, *grid, 1)
            patches = torch.where(hidden, self.mask_token.to(patches.dtype), patches)
        if self.position_embeddings is not None:
            if grid != self.grid and not interpolate_pos_encoding:
                raise ValueError(
                    f"pixel_values give {grid} patches, where the model has positions for "
                    f"{self.grid}: resize the images, or pass interpolate_pos_encoding=True."
                )
            positions = resample_positions(self.position_embeddings, self.grid, grid)
            patches = patches + positions.unflatten(1, grid)
        return self.dropout(patches)


class SwinSelfAttention(nn.Module):
    """Attention within each window, with a learned bias for each head and distance."""

    def __init__(self, config: SwinConfig, width: int, heads: int) -> None:
        super().__init__()
        self.window_size, self.head_dim = config.window_size, width // heads
        self.dropout_prob = config.attention_probs_dropout_prob
        span = 2 * self.window_size - 1
        self.relative_position_bias_table = nn.Parameter(torch.zeros(span * span, heads))
        self.register_buffer("relative_position_index", relative_positions(self.window_size))
        self.query, self.key, self.value = (
            Linear(width, width, bias=config.qkv_bias) for _ in range(3)
        )

    def forward(
        self, windows: Tensor, layout: Windows, shared: Pass, recorder: Recorder | None
    ) -> Tensor:
        """The result (B * windows, T, D) for `windows`, which `layout` cut."""
        query, key, value = (
            split_heads(project(windows), self.head_dim)
            for project in (self.query, self.key, self.value)
        )
        return attention(
            query,
            key,
            value,
            bias=self.bias(layout, len(windows)).to(windows.dtype),
            dropout=self.dropout_prob * self.training,
            head_mask=shared.head_mask,
            implementation=shared.implementation,
            recorder=recorder,
        )

    def bias(self, layout: Windows, rows: int) -> Tensor:
        """What is added to the scores, (1 or rows, heads, T, T): distances, and that patches from
        opposite edges of the picture do not see each other."""
        side, own = layout.size, self.window_size
        index = self.get_buffer("relative_position_index").view(own, own, own, own)
        index = index[:side, :side, :side, :side].reshape(side * side, side * side)
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)[None]
        mask = layout.mask(bias.device)
        if mask is None:
            return bias
        return (bias + mask[:, None]).repeat(rows // len(mask), 1, 1, 1)


class SwinOutput(nn.Module):
    """A projection."""

    def __init__(self, config: Any, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = Linear(inputs, outputs)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.dense(hidden_states))


class SwinAttention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: SwinConfig, width: int, heads: int) -> None:
        super().__init__()
        self.self = SwinSelfAttention(config, width, heads)
        self.output = SwinOutput(config, width, width)


class SwinIntermediate(nn.Module):
    """The first half of the MLP."""

    def __init__(self, config: Any, width: int) -> None:
        super().__init__()
        self.dense = Linear(width, int(config.mlp_ratio * width))
        self.intermediate_act_fn = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(hidden_states))


class SwinLayer(nn.Module):
    """Attention and MLP, each behind a norm; every second layer shifts its windows by half."""

    def __init__(
        self, config: SwinConfig, width: int, heads: int, shifts: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.window_size = config.window_size
        self.shift = config.window_size // 2 if shifts else 0
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attention = SwinAttention(config, width, heads)
        self.drop_path = DropPath(drop_path)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.intermediate = SwinIntermediate(config, width)
        self.output = SwinOutput(config, int(config.mlp_ratio * width), width)

    def forward(self, maps: Tensor, shared: Pass, recorder: Recorder | None) -> Tensor:
        layout = shared.windows.of(maps, self.window_size, self.shift, shared.shrinks)
        windows = layout.cut(self.layernorm_before(maps))
        windows = self.attention.self(windows, layout, shared, recorder)
        added = layout.join(self.attention.output(windows))
        maps = maps + self.drop_path(added)
        return maps + self.drop_path(self.output(self.intermediate(self.layernorm_after(maps))))


class SwinPatchMerging(nn.Module):
    """Makes one patch of twice the width of two by two patches; beyond the edge they are zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.pad(maps, (0, 0, 0, maps.shape[2] % 2, 0, maps.shape[1] % 2))
        squares = maps.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, D)
        return self.reduction(self.norm(squares.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class SwinStage(nn.Module):
    """Layers of one width; then, but for the last stage, patches merge."""

    def __init__(self, config: SwinConfig, index: int, rates: list[float]) -> None:
        super().__init__()
        width, heads = config.embed_dim * 2**index, config.num_heads[index]
        self.blocks = nn.ModuleList(
            SwinLayer(config, width, heads, number % 2 == 1, rate)
            for number, rate in enumerate(rates)
        )
        last = index == len(config.depths) - 1
        self.downsample = None if last else SwinPatchMerging(width)

    def forward(self, maps: Tensor, shared: Pass) -> Tensor:
        """The map before patches merge; weights are recorded of the last layer alone."""
        for number, layer in enumerate(self.blocks, 1):
            maps = layer(maps, shared, shared.recorder if number == len(self.blocks) else None)
        return maps

    def merge(self, maps: Tensor) -> Tensor:
        """The map for the next stage."""
        return maps if self.downsample is None else self.downsample(maps)


class SwinEncoder(nn.Module):
    """Holds the stages under the checkpoint's name."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        self.layers = nn.ModuleList(SwinStage(config, i, rates[i]) for i in range(len(rates)))


class SwinPreTrainedModel(PreTrainedModel):
    config_class = SwinConfig
    base_model_prefix = "swin"
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["SwinStage"]


def flat(maps: Tensor) -> Tensor:
    """Patches (B, N, D) of a map (B, H, W, D), row by row."""
    return maps.flatten(1, 2)


class SwinModel(SwinPreTrainedModel):
    """The encoder, and the mean over all patches."""

    def __init__(
        self, config: SwinConfig, add_pooling_layer: bool = True, use_mask_token: bool = False
    ) -> None:
        super().__init__(config)
        self.embeddings = SwinEmbeddings(config, use_mask_token)
        self.encoder = SwinEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = nn.AdaptiveAvgPool1d(1) if add_pooling_layer else None
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        recorder: Recorder | None = None,
    ) -> SwinModelOutput:
        """Patches (B, N, D) of the last stage for images (B, C, H, W), and their mean (B, D).

        `bool_masked_pos` (B, patches of the image) hides patches; `head_mask` is (stages, heads) or
        (heads,).
        """
        maps = self.embeddings(pixel_values, bool_masked_pos, interpolate_pos_encoding)
        masks = self.expand_head_mask(head_mask)
        states = run_stages(self, self.steps(recorder, masks), maps, None)
        if recorder is not None and recorder.hidden_states:
            for state in states:
                recorder.add_hidden_state(flat(state))
                recorder.add("reshaped_hidden_states", state.permute(0, 3, 1, 2))
            recorder.add_last_hidden_state(recorder.notes["hidden_states"].pop())
        output = self.layernorm(flat(states[-1]))
        pooled = None if self.pooler is None else self.pooler(output.transpose(1, 2)).flatten(1)
        return SwinModelOutput(output, pooled)

    def steps(
        self, recorder: Recorder | None, masks: Tensor | None
    ) -> list[Callable[[Tensor], Tensor]]:
        """What leads from the map of each stage to that of the next."""
        implementation = self.config._attn_implementation

        def step(index: int, maps: Tensor) -> Tensor:
            mask = None if masks is None else masks[index]
            stage: Any = self.encoder.layers[index]
            return stage.merge(stage(maps, Pass(implementation, recorder, mask)))

        return [partial(step, index) for index in range(len(self.encoder.layers))]


class SwinForImageClassification(ForImageClassification, SwinPreTrainedModel):
    output_class = SwinImageClassifierOutput

    def features(self, outputs: ModelOutput) -> Tensor:
        """The mean of all patches."""
        return outputs.pooler_output


class SwinForMaskedImageModeling(ForMaskedImageModeling, SwinPreTrainedModel):
    output_class = SwinMaskedImageModelingOutput

    def stride(self) -> int:
        """Rows of pixels to each row of the last stage's patches."""
        return self.config.patch_size * 2 ** (len(self.config.depths) - 1)

    def patch_map(self, outputs: ModelOutput, pixel_values: Tensor) -> Tensor:
        """The last stage's patches as a map (B, D, H, W)."""
        rows = -(-pixel_values.shape[2] // self.stride())
        return outputs.last_hidden_state.transpose(1, 2).unflatten(2, (rows, -1))


class SwinBackbone(BackboneMixin, SwinPreTrainedModel):
    """The maps of chosen stages before their patches merge, each behind a norm of its own."""

    windows: ClassVar[type[Windows]] = Windows

    def __init__(self, config: SwinConfig) -> None:
        super().__init__(config)
        widths = [config.embed_dim * 2**stage for stage in range(len(config.depths))]
        self.num_features = [config.embed_dim, *widths]
        self.embeddings = SwinEmbeddings(config)
        self.encoder = SwinEncoder(config)
        self.hidden_states_norms = nn.ModuleDict(
            {name: nn.LayerNorm(self.out_feature_channels[name]) for name in self.out_features}
        )
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        """The map (B, H, W, D) of every stage, that of the stem first."""
        # Detectors have been trained with windows that are filled up on small maps.
        implementation = self.config._attn_implementation
        shared = Pass(implementation, recorder, shrinks=False, windows=self.windows)
        layers: Any = self.encoder.layers

        def step(index: int, maps: Tensor) -> Tensor:
            return layers[index](layers[index - 1].merge(maps) if index else maps, shared)

        steps = [partial(step, index) for index in range(len(layers))]
        states = run_stages(self, steps, self.embeddings(pixel_values), None)
        if recorder is not None:
            for state in states[:-1]:
                recorder.add_hidden_state(flat(state))
            recorder.add_last_hidden_state(flat(states[-1]))
        return states

    def feature_map(self, name: str, states: Tensor) -> Tensor:
        """`states` (B, H, W, D) under the norm of the stage `name`, as (B, D, H, W)."""
        return self.norm_of(name)(states).permute(0, 3, 1, 2).contiguous()
