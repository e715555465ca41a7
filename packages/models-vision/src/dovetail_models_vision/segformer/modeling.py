"""SegFormer: a transformer in stages, and a light head that fuses them (arXiv 2105.15203).

Overlapping patches make each stage smaller than the one before; keys and values are fewer than
queries; a depthwise convolution inside the MLP stands in for positions. B batch, H height, W width,
N places of a map, D width.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import run_stages
from dovetail.heads import TaskHead
from dovetail.layers.activations import activation
from dovetail.layers.attention import AttentionFunction, attention, split_heads
from dovetail.layers.patches import check_channels
from dovetail.layers.projections import Linear
from dovetail.layers.residual import DropPath, drop_path_rates
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput, ModelOutput, SemanticSegmenterOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.heads import (
    ForImageClassification,
    field_names,
    semantic_loss,
)
from dovetail_models_vision.segformer.configuration import SegformerConfig


def places(maps: Tensor) -> Tensor:
    """The places (B, N, D) of `maps` (B, D, H, W), row by row."""
    return maps.flatten(2).transpose(1, 2)


def as_map(states: Tensor, like: Tensor) -> Tensor:
    """The map (B, D, H, W) of `states` (B, N, D), in height and width of `like`."""
    return states.transpose(1, 2).unflatten(2, like.shape[-2:])


class SegformerOverlapPatchEmbeddings(nn.Module):
    """A convolution whose patches overlap, and a norm."""

    def __init__(self, inputs: int, outputs: int, patch: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, patch, stride, patch // 2)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """A smaller map."""
        maps = self.proj(maps)
        return as_map(self.layer_norm(places(maps)), maps)


class SegformerEfficientSelfAttention(nn.Module):
    """Every place attends to a map that is smaller by `ratio`."""

    def __init__(self, config: SegformerConfig, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.head_dim, self.dropout_prob = width // heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = (Linear(width, width) for _ in range(3))
        self.ratio = ratio
        if ratio > 1:
            self.sr = nn.Conv2d(width, width, ratio, ratio)
            self.layer_norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, maps: Tensor, attend: AttentionFunction) -> Tensor:
        """What places take from each other; `states` (B, N, D) are normed, `maps` say their
        size."""
        seen = states
        if self.ratio > 1:
            seen = self.layer_norm(places(self.sr(as_map(states, maps))))
        projected = (self.query(states), self.key(seen), self.value(seen))
        query, key, value = (split_heads(one, self.head_dim) for one in projected)
        return attend(query, key, value, dropout=self.dropout_prob * self.training)


class SegformerSelfOutput(nn.Module):
    """A projection."""

    def __init__(self, config: SegformerConfig, width: int) -> None:
        super().__init__()
        self.dense = Linear(width, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor) -> Tensor:
        return self.dropout(self.dense(states))


class SegformerAttention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: SegformerConfig, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.self = SegformerEfficientSelfAttention(config, width, heads, ratio)
        self.output = SegformerSelfOutput(config, width)


class SegformerDWConv(nn.Module):
    """A convolution of each channel for itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)


class SegformerMixFFN(nn.Module):
    """An MLP that sees neighbouring places."""

    def __init__(self, config: SegformerConfig, width: int, inner: int) -> None:
        super().__init__()
        self.dense1, self.dense2 = Linear(width, inner), Linear(inner, width)
        self.dwconv = SegformerDWConv(inner)
        self.activation = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, maps: Tensor) -> Tensor:
        mixed = places(self.dwconv.dwconv(as_map(self.dense1(states), maps)))
        return self.dropout(self.dense2(self.dropout(self.activation(mixed))))


class SegformerLayer(nn.Module):
    """Attention and MLP, each behind a norm and left out at random in training."""

    def __init__(self, config: SegformerConfig, stage: int, drop_path: float) -> None:
        super().__init__()
        width, heads = config.hidden_sizes[stage], config.num_attention_heads[stage]
        self.layer_norm_1 = nn.LayerNorm(width)
        self.attention = SegformerAttention(config, width, heads, config.sr_ratios[stage])
        self.drop_path = DropPath(drop_path)
        self.layer_norm_2 = nn.LayerNorm(width)
        self.mlp = SegformerMixFFN(config, width, int(width * config.mlp_ratios[stage]))

    def forward(self, states: Tensor, maps: Tensor, attend: AttentionFunction) -> Tensor:
        attended = self.attention.self(self.layer_norm_1(states), maps, attend)
        states = states + self.drop_path(self.attention.output(attended))
        return states + self.drop_path(self.mlp(self.layer_norm_2(states), maps))


class SegformerEncoder(nn.Module):
    """Holds the parts of all stages under the checkpoint's names."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__()
        widths = config.hidden_sizes
        sizes = zip([config.num_channels, *widths], widths, config.patch_sizes, config.strides,
                    strict=False)  # fmt: skip
        self.patch_embeddings = nn.ModuleList(
            SegformerOverlapPatchEmbeddings(*size) for size in sizes
        )
        rates = drop_path_rates(config.drop_path_rate, config.depths)
        self.block = nn.ModuleList(
            nn.ModuleList(SegformerLayer(config, stage, rate) for rate in rates[stage])
            for stage in range(len(rates))
        )
        self.layer_norm = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    def stage(self, index: int, attend: AttentionFunction, maps: Tensor) -> Tensor:
        """The map that the stage `index` makes of that of the one before."""
        maps = self.patch_embeddings[index](maps)
        states = places(maps)
        for layer in self.block[index]:  # type: ignore[attr-defined]
            states = layer(states, maps, attend)
        return as_map(self.layer_norm[index](states), maps).contiguous()


class SegformerPreTrainedModel(PreTrainedModel):
    config_class = SegformerConfig
    base_model_prefix = "segformer"
    main_input_name = "pixel_values"
    input_embeddings = "encoder.patch_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["SegformerLayer"]


class SegformerModel(SegformerPreTrainedModel):
    """The stages."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__(config)
        self.encoder = SegformerEncoder(config)
        self.post_init()

    @backbone
    def forward(self, pixel_values: Tensor, recorder: Recorder | None = None) -> BaseModelOutput:
        """The map (B, D, H, W) of the last stage for pictures (B, C, H, W), or its places
        (B, N, D) where ``config.reshape_last_stage`` is off; hidden states are those of each
        stage."""
        check_channels(pixel_values, self.config.num_channels)
        attend = partial(
            attention, implementation=self.config._attn_implementation, recorder=recorder
        )
        count = self.config.num_encoder_blocks
        stages = [partial(self.encoder.stage, index, attend) for index in range(count)]
        states = run_stages(self, stages, pixel_values.to(self.dtype), None)
        if not self.config.reshape_last_stage:
            states[-1] = places(states[-1])
        if recorder is not None:
            for state in states[1:-1]:
                recorder.add_hidden_state(state)
        return BaseModelOutput(states[-1])


class SegformerForImageClassification(ForImageClassification, SegformerPreTrainedModel):
    """A linear layer over the mean of the last stage's places."""

    def build_head(self) -> None:
        self.classifier = Linear(self.config.hidden_sizes[-1], self.num_labels)

    def features(self, outputs: ModelOutput) -> Tensor:
        states = outputs.last_hidden_state
        return states.mean((2, 3) if states.dim() == 4 else 1)


class SegformerMLP(nn.Module):
    """Brings one stage to the head's width."""

    def __init__(self, config: SegformerConfig, width: int) -> None:
        super().__init__()
        self.proj = Linear(width, config.decoder_hidden_size)


class SegformerDecodeHead(nn.Module):
    """All stages at the size of the first, fused to logits for each place."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__()
        width = config.decoder_hidden_size
        self.linear_c = nn.ModuleList(SegformerMLP(config, size) for size in config.hidden_sizes)
        self.linear_fuse = nn.Conv2d(width * len(config.hidden_sizes), width, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Conv2d(width, config.num_labels, 1)

    def forward(self, encoder_hidden_states: tuple[Tensor, ...]) -> Tensor:
        """Logits (B, labels, H, W) of the maps of all stages; the last may be a sequence of the
        places of a square."""
        maps = []
        for state, linear in zip(encoder_hidden_states, self.linear_c, strict=True):
            square = state.dim() == 3
            side = round(state.shape[1] ** 0.5)
            project: Any = linear.proj
            states = project(state if square else places(state)).transpose(1, 2)
            one = states.unflatten(2, (side, side) if square else state.shape[-2:])
            size = encoder_hidden_states[0].shape[-2:]
            maps.append(F.interpolate(one, size=size, mode="bilinear", align_corners=False))
        fused = self.batch_norm(self.linear_fuse(torch.cat(maps[::-1], 1)))
        return self.classifier(self.dropout(F.relu(fused)))


class SegformerForSemanticSegmentation(TaskHead, SegformerPreTrainedModel):
    """The class of each place."""

    def build_head(self) -> None:
        self.decode_head = SegformerDecodeHead(self.config)

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput:
        """Logits (B, labels, H / 4, W / 4) of pictures (B, C, H, W) and, for `labels` (B, H, W),
        the loss."""
        config = self.config
        outputs = self.base_model(
            pixel_values, output_hidden_states=True, return_dict=True, **kwargs
        )
        logits = self.decode_head(outputs.hidden_states)
        loss = None
        if labels is not None:
            ignored = config.semantic_loss_ignore_index
            loss = semantic_loss(logits, labels, self.num_labels, ignored)
        wanted = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        recorded = self.recorded(outputs, field_names(SemanticSegmenterOutput))
        if not wanted:
            del recorded["hidden_states"]
        return SemanticSegmenterOutput(loss=loss, logits=logits, **recorded)
