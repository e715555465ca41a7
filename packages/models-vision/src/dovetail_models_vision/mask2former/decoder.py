"""Mask2Former's transformer decoder: queries see the parts of the picture that they claim.

B batch, Q queries, S places of a map, D width, C channels of the masks' features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.attention import attention, split_heads
from dovetail.layers.projections import Linear
from dovetail.recording import Recorder
from dovetail_models_vision.detection.positions import SinePositions
from dovetail_models_vision.detection.transformer import (
    DetectionContext,
    DetectionLayer,
    PositionedAttention,
    detection_context,
    plus,
)
from dovetail_models_vision.mask2former.configuration import LEVELS, Mask2FormerConfig
from dovetail_models_vision.mask2former.pixel_decoder import Run, whole


@dataclass
class MaskedContext(DetectionContext):
    """`outside` (B, 1, Q, S) says which places a query does not see."""

    outside: Tensor | None = None


class MaskedAttention(nn.Module):
    """Attention from queries to the places inside their masks; the three projections are one
    matrix."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.head_dim, self.dropout = width // heads, dropout
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)

    def forward(self, hidden_states: Tensor, context: MaskedContext) -> Tensor:
        """What is to be added to `hidden_states` (B, Q, D)."""
        seen = context.encoder_hidden_states
        if seen is None or context.outside is None:
            raise ValueError("Masked attention needs a picture and masks.")
        inputs = (plus(hidden_states, context.queries), plus(seen, context.places), seen)
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        query, key, value = (
            split_heads(F.linear(states, weight, bias), self.head_dim)
            for states, weight, bias in zip(inputs, weights, biases, strict=True)
        )
        bias = torch.zeros_like(context.outside, dtype=query.dtype)
        bias = bias.masked_fill(context.outside, float("-inf")).expand(-1, query.shape[1], -1, -1)
        return self.out_proj(
            attention(
                query,
                key,
                value,
                bias=bias,
                dropout=self.dropout * self.training,
                implementation=context.implementation,
            )
        )


class Mask2FormerMaskedAttentionDecoderLayer(DetectionLayer):
    """Masked attention to the picture comes first, then that among the queries, then the MLP."""

    def __init__(self, config: Mask2FormerConfig, index: int) -> None:
        width, heads, dropout = config.hidden_dim, config.num_attention_heads, config.dropout
        super().__init__(
            PositionedAttention(width, heads, index, dropout),
            width,
            config.dim_feedforward,
            config.activation_function,
            dropout=dropout,
            activation_dropout=dropout,
            pre_norm=config.pre_norm,
        )
        self.cross_attn = MaskedAttention(width, heads, dropout)
        self.cross_attn_layer_norm = nn.LayerNorm(width)

    def forward(self, hidden_states: Tensor, context: MaskedContext) -> Tensor:
        """States (B, Q, D) after the layer."""
        states = self.add(self.cross_attn, self.cross_attn_layer_norm, hidden_states, context)
        states = self.add(self.self_attn, self.self_attn_layer_norm, states, context)
        return self.add(self.mlp, self.final_layer_norm, states)


class Mask2FormerMaskPredictor(nn.Module):
    """A perceptron of three layers, whose result weighs the channels of the masks' features."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        sizes = (width, width, width, channels)
        self.mask_embedder = nn.Sequential(
            *(
                nn.Sequential(Linear(inputs, outputs), nn.ReLU() if outputs_left else nn.Identity())
                for inputs, outputs, outputs_left in zip(
                    sizes[:-1], sizes[1:], (2, 1, 0), strict=True
                )
            )
        )

    def forward(self, states: Tensor, features: Tensor) -> Tensor:
        """Masks (B, Q, H, W) as logits, of `states` (B, Q, D) and `features` (B, C, H, W)."""
        return torch.einsum("bqc,bchw->bqhw", self.mask_embedder(states), features)


class Mask2FormerMaskedAttentionDecoder(nn.Module):
    """Layers that look at one map after the other, and a prediction before and after each."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Mask2FormerMaskedAttentionDecoderLayer(config, index)
            for index in range(config.decoder_layers - 1)
        )
        self.layernorm = nn.LayerNorm(config.hidden_dim)
        self.mask_predictor = Mask2FormerMaskPredictor(config.hidden_dim, config.mask_feature_size)

    def forward(
        self, states: Tensor, contexts: Sequence[MaskedContext], features: Tensor,
        sizes: Sequence[tuple[int, int]], run: Run,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:  # fmt: skip
        """States (B, Q, D) before and after each layer, the same normed, and their masks (B, Q, H,
        W); maps have one context and one size each."""
        all_states, normed = [states], [self.layernorm(states)]
        masks = [self.mask_predictor(normed[0], features)]
        for index, layer in enumerate(self.layers):
            level = index % LEVELS
            outside = outside_of(masks[-1], sizes[level])
            states = run([layer], states, replace(contexts[level], outside=outside))
            all_states.append(states)
            normed.append(self.layernorm(states))
            masks.append(self.mask_predictor(normed[-1], features))
        return all_states, normed, masks


@torch.no_grad()
def outside_of(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """The places (B, 1, Q, S) of a map of `size` that are outside of `masks` (B, Q, H, W); none
    where all would be."""
    small = F.interpolate(masks, size=size, mode="bilinear", align_corners=False)
    outside = small.flatten(2) < 0
    return (outside & ~outside.all(-1, keepdim=True))[:, None]


class Mask2FormerTransformerModule(nn.Module):
    """Learned queries, and the maps as the decoder reads them."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        width, inputs = config.hidden_dim, config.feature_size
        self.implementation = config._attn_implementation
        self.position_embedder = SinePositions(width // 2)
        self.queries_embedder = nn.Embedding(config.num_queries, width)
        self.queries_features = nn.Embedding(config.num_queries, width)
        projects = inputs != width or config.enforce_input_projection
        self.input_projections = nn.ModuleList(
            nn.Conv2d(inputs, width, 1) if projects else nn.Identity() for _ in range(LEVELS)
        )
        self.decoder = Mask2FormerMaskedAttentionDecoder(config)
        self.level_embed = nn.Embedding(LEVELS, width)

    def forward(
        self, maps: Sequence[Tensor], features: Tensor, recorder: Recorder | None, run: Run
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What `Mask2FormerMaskedAttentionDecoder` gives, of `maps` (B, D, H, W) and the masks'
        `features` (B, C, H, W)."""
        batch = len(features)
        states, queries = (
            embedding.weight.expand(batch, -1, -1)
            for embedding in (self.queries_features, self.queries_embedder)
        )
        contexts = []
        for project, map_, level in zip(
            self.input_projections, maps, self.level_embed.weight, strict=True
        ):
            places = self.position_embedder(whole(map_), map_.dtype).flatten(2).mT
            shared = detection_context(
                self.implementation,
                states,
                recorder,
                encoded=project(map_).flatten(2).mT + level,
                places=places,
                queries=queries,
            )
            contexts.append(MaskedContext(**vars(shared)))
        sizes = [(map_.shape[2], map_.shape[3]) for map_ in maps]
        return self.decoder(states, contexts, features, sizes, run)
