"""The Transformer encoders of Wav2Vec 2.0, over frames whose positions a convolution tells.

B batch, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.mapping import Rename

WEIGHT_NORM = tuple(
    Rename(
        f"pos_conv_embed.conv.parametrizations.weight.original{number}",
        f"pos_conv_embed.conv.{name}",
    )
    for number, name in enumerate(("weight_g", "weight_v"))
)
"""Newer checkpoints call the weight norm's parts as torch's parametrizations do."""

TINY = 1e-30
"""Below this a vector has no direction."""


class WeightNormConv(nn.Module):
    """A convolution whose weights are `weight_v` (D, D / groups, K), as long at each of the K taps
    as `weight_g` (1, 1, K) says (arXiv 1602.07868). As many frames come out as go in."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.weight_g = nn.Parameter(torch.ones(1, 1, kernel))
        self.weight_v = nn.Parameter(torch.zeros(width, width // groups, kernel))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, T), convolved."""
        lengths = torch.linalg.vector_norm(self.weight_v, dim=(0, 1), keepdim=True)
        weight = self.weight_v * (self.weight_g / lengths.clamp_min(TINY))
        pad = self.kernel // 2
        y = F.conv1d(x, weight, self.bias, padding=pad, groups=self.groups)
        return y[..., : x.shape[-1]]


class PositionalConv(nn.Module):
    """Relative positions, by a wide convolution over the frames."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        kernel, groups = config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        self.conv = WeightNormConv(config.hidden_size, kernel, groups)
        self.activation = activation(config.feat_extract_activation)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """What to add to states (B, T, D)."""
        return self.activation(self.conv(hidden_states.mT)).mT


class SpeechAttention(nn.Module):
    """Every frame attends to every frame."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.layer_idx, self.dropout = layer_idx, config.attention_dropout
        self.head_dim = width // config.num_attention_heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            Linear(width, width) for _ in range(4)
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """States (B, T, D) of states (B, T, D)."""
        query, key, value = (
            split_heads(project(hidden_states), self.head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout * self.training
        return self.out_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class FeedForward(nn.Module):
    """An MLP of one hidden layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.intermediate_dropout = nn.Dropout(config.activation_dropout)
        self.intermediate_dense = Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = activation(config.hidden_act)
        self.output_dense = Linear(config.intermediate_size, config.hidden_size)
        self.output_dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """States (B, T, D) of states (B, T, D)."""
        hidden_states = self.intermediate_act_fn(self.intermediate_dense(hidden_states))
        return self.output_dropout(self.output_dense(self.intermediate_dropout(hidden_states)))


class SpeechLayer(nn.Module):
    """Attention and MLP, each with a norm behind; `build` makes the attention."""

    def __init__(
        self,
        config: Any,
        layer_idx: int,
        build: Callable[[Any, int], nn.Module] = SpeechAttention,
    ) -> None:
        super().__init__()
        self.attention = build(config, layer_idx)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """States (B, T, D) of states (B, T, D)."""
        attended = self.dropout(self.attention(hidden_states, context))
        hidden_states = self.layer_norm(hidden_states + attended)
        return self.final_layer_norm(hidden_states + self.feed_forward(hidden_states))


class LanguageAdapter(nn.Module):
    """A narrow MLP behind a layer, one set of which is trained for each language."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.linear_1 = Linear(config.hidden_size, config.adapter_attn_dim)
        self.linear_2 = Linear(config.adapter_attn_dim, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """What to add to states (B, T, D)."""
        return self.linear_2(F.relu(self.linear_1(self.norm(hidden_states))))


class StableLayer(SpeechLayer):
    """Attention and MLP, each with a norm in front; then the language's adapter, if any."""

    def __init__(
        self,
        config: Any,
        layer_idx: int,
        build: Callable[[Any, int], nn.Module] = SpeechAttention,
    ) -> None:
        super().__init__(config, layer_idx, build)
        adapted = getattr(config, "adapter_attn_dim", None) is not None
        self.adapter_layer = LanguageAdapter(config) if adapted else None

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """States (B, T, D) of states (B, T, D)."""
        attended = self.attention(self.layer_norm(hidden_states), context)
        hidden_states = hidden_states + self.dropout(attended)
        hidden_states = hidden_states + self.feed_forward(self.final_layer_norm(hidden_states))
        if self.adapter_layer is not None:
            hidden_states = hidden_states + self.adapter_layer(hidden_states)
        return hidden_states


class SpeechEncoder(nn.Module):
    """Positions, layers and a norm: in front of post-norm layers, behind pre-norm ones
    (``config.do_stable_layer_norm``). `build` makes the attention of each layer."""

    def __init__(
        self, config: Any, build: Callable[[Any, int], nn.Module] = SpeechAttention
    ) -> None:
        super().__init__()
        self.stable = config.do_stable_layer_norm
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        layer = StableLayer if self.stable else SpeechLayer
        self.layers = nn.ModuleList(
            layer(config, index, build) for index in range(config.num_hidden_layers)
        )

    def prepare(self, hidden_states: Tensor, mask: Tensor | None) -> Tensor:
        """What the layers read: frames (B, T, D) with positions, zeros where `mask` (B, T) is."""
        if mask is not None:
            hidden_states = hidden_states.masked_fill(~mask[..., None], 0)
        hidden_states = hidden_states + self.pos_conv_embed(hidden_states)
        return self.dropout(hidden_states if self.stable else self.layer_norm(hidden_states))

    def finish(self, hidden_states: Tensor) -> Tensor:
        """What comes out of the encoder, of what comes out of its last layer."""
        return self.layer_norm(hidden_states) if self.stable else hidden_states


class ConvAdapterLayer(nn.Module):
    """A convolution with a gate."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, kernel = config.output_hidden_size, config.adapter_kernel_size
        self.conv = nn.Conv1d(width, 2 * width, kernel, stride=config.adapter_stride, padding=1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Fewer frames (B, D, T / stride) of frames (B, D, T)."""
        return F.glu(self.conv(hidden_states), dim=1)


class ConvAdapter(nn.Module):
    """Makes fewer frames of many, of the width ``config.output_hidden_size``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.proj, self.proj_layer_norm = None, None
        if config.output_hidden_size != config.hidden_size:
            self.proj = Linear(config.hidden_size, config.output_hidden_size)
            self.proj_layer_norm = nn.LayerNorm(config.output_hidden_size)
        self.layers = nn.ModuleList(
            ConvAdapterLayer(config) for _ in range(config.num_adapter_layers)
        )
        self.layerdrop = config.layerdrop

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Frames (B, T / strides, D) of frames (B, T, D)."""
        if self.proj is not None and self.proj_layer_norm is not None:
            hidden_states = self.proj_layer_norm(self.proj(hidden_states))
        hidden_states = hidden_states.mT
        for layer in self.layers:
            if not self.training or torch.rand(()) >= self.layerdrop:
                hidden_states = layer(hidden_states)
        return hidden_states.mT
