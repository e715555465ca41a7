"""Blocks of detection transformers: attention with positions beside the states, post-norm layers.

B batch, Q queries, S places of the picture, D width, H heads, E head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.layers.residual import within_range
from dovetail.masks import bidirectional_mask
from dovetail.recording import Recorder


@dataclass
class DetectionContext(Context):
    """A context whose positions are added to queries and keys in each layer, not to values.

    `places` (1 or B, S, D) belong to the picture; a decoder has `queries` (B, Q, D), too.
    """

    places: Tensor | None = None
    queries: Tensor | None = None

    @property
    def own(self) -> Tensor | None:
        """The positions of the states that layers run."""
        return self.places if self.queries is None else self.queries


def detection_context(
    implementation: str,
    hidden_states: Tensor,
    recorder: Recorder | None,
    *,
    mask: Tensor | None = None,
    encoded: Tensor | None = None,
    encoded_mask: Tensor | None = None,
    **positions: Any,
) -> DetectionContext:
    """The context over `hidden_states` (B, T, D); masks (B, T) and (B, S) are 0 where padding is,
    or additive (B, 1, T, T)."""
    order = torch.arange(hidden_states.shape[1], device=hidden_states.device)
    count = 0 if encoded is None else encoded.shape[1]
    return DetectionContext(
        implementation,
        position_ids=order[None],
        positions=order,
        mask=bidirectional_mask(hidden_states, mask),
        recorder=recorder,
        encoder_hidden_states=encoded,
        encoder_mask=bidirectional_mask(hidden_states, encoded_mask, count),
        **positions,
    )


def plus(states: Tensor, positions: Tensor | None) -> Tensor:
    """`states`, moved by `positions` where there are any."""
    return states if positions is None else states + positions


class PositionedAttention(nn.Module):
    """Attention within the states or, for `cross`, from the queries to the picture."""

    def __init__(
        self, width: int, heads: int, layer_idx: int, dropout: float = 0.0, cross: bool = False
    ) -> None:
        super().__init__()
        self.layer_idx, self.dropout, self.cross = layer_idx, dropout, cross
        self.head_dim = width // heads
        self.k_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.q_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def forward(self, hidden_states: Tensor, context: DetectionContext) -> Tensor:
        """What is to be added to `hidden_states` (B, T, D)."""
        query = plus(hidden_states, context.own)
        key, value = query, hidden_states
        if self.cross:
            value = context.encoder_hidden_states  # type: ignore[assignment]
            key = plus(value, context.places)
        projected = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        query, key, value = (split_heads(states, self.head_dim) for states in projected)
        dropout = self.dropout * self.training
        return self.out_proj(
            context.attend(query, key, value, self.layer_idx, dropout=dropout, cross=self.cross)
        )


class DetectionLayer(nn.Module):
    """Attention, where there is an `encoder_attn` attention to the picture, MLP; each is called
    with states and context, added and then normalised (before, for `pre_norm`)."""

    def __init__(
        self,
        self_attn: nn.Module,
        width: int,
        inner: int,
        act: str,
        *,
        encoder_attn: nn.Module | None = None,
        dropout: float = 0.0,
        activation_dropout: float = 0.0,
        eps: float = 1e-5,
        pre_norm: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.activation_dropout, self.pre_norm = dropout, activation_dropout, pre_norm
        self.self_attn = self_attn
        self.self_attn_layer_norm = nn.LayerNorm(width, eps)
        self.cross = encoder_attn is not None
        if encoder_attn is not None:
            self.encoder_attn = encoder_attn
            self.encoder_attn_layer_norm = nn.LayerNorm(width, eps)
        self.fc1 = Linear(width, inner)
        self.fc2 = Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width, eps)
        self.activation_fn = activation(act)

    def forward(self, hidden_states: Tensor, context: Any) -> Tensor:
        """States (B, T, D) after the layer."""
        hidden_states = self.add(self.self_attn, self.self_attn_layer_norm, hidden_states, context)
        if self.cross:
            norm = self.encoder_attn_layer_norm
            hidden_states = self.add(self.encoder_attn, norm, hidden_states, context)
        hidden_states = self.add(self.mlp, self.final_layer_norm, hidden_states)
        return hidden_states if self.cross else within_range(hidden_states)

    def add(self, function: Any, norm: nn.Module, hidden_states: Tensor, *context: Any) -> Tensor:
        """`hidden_states` plus `function` of them, normalised before or after."""
        change = function(norm(hidden_states) if self.pre_norm else hidden_states, *context)
        hidden_states = hidden_states + F.dropout(change, self.dropout, self.training)
        return hidden_states if self.pre_norm else norm(hidden_states)

    def mlp(self, hidden_states: Tensor) -> Tensor:
        """Two projections around an activation."""
        inner = self.activation_fn(self.fc1(hidden_states))
        return self.fc2(F.dropout(inner, self.activation_dropout, self.training))


class BoxHead(nn.Module):
    """A perceptron of `layers` projections with ReLU between them."""

    def __init__(self, width: int, inner: int, output: int, layers: int) -> None:
        super().__init__()
        sizes = [width, *[inner] * (layers - 1), output]
        self.layers = nn.ModuleList(map(Linear, sizes[:-1], sizes[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """(..., `output`) of `x` (..., `width`)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
