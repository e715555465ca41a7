"""The Transformer encoder of ViT (arXiv 2010.11929), which reads pictures, videos and spectrograms
alike: BERT's, with the norms in front of each block. D width, T tokens, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.layers.pruning import HeadPruning


class ViTSelfAttention(nn.Module):
    """Every token attends to every token."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx, self.dropout = layer_idx, config.attention_probs_dropout_prob
        self.head_dim = config.hidden_size // config.num_attention_heads
        width = config.hidden_size
        self.query, self.key, self.value = (
            Linear(width, width, bias=config.qkv_bias) for _ in range(3)
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = (
            split_heads(project(hidden_states), self.head_dim)
            for project in (self.query, self.key, self.value)
        )
        dropout = self.dropout * self.training
        return context.attend(query, key, value, self.layer_idx, dropout=dropout)


class ViTOutput(nn.Module):
    """Projection back to the residual stream."""

    def __init__(self, config: Any, size: int) -> None:
        super().__init__()
        self.dense = Linear(size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.dense(hidden_states))


class ViTAttention(HeadPruning):
    """Attention with its output projection."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config.num_attention_heads)
        self.attention = ViTSelfAttention(config, layer_idx)
        self.output = ViTOutput(config, config.hidden_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        return self.output(self.attention(hidden_states, context))

    def prune_heads(self, heads: list[int]) -> None:
        """Remove `heads`, numbered as before any pruning."""
        inner = self.attention
        names = ("query", "key", "value")
        self.prune(heads, inner, names, self.output, "dense", inner.head_dim)


class ViTIntermediate(nn.Module):
    """The first half of the MLP."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(hidden_states))


class ViTLayer(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.attention = ViTAttention(config, layer_idx)
        self.intermediate = ViTIntermediate(config)
        self.output = ViTOutput(config, config.intermediate_size)
        self.layernorm_before = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.attention(
            self.layernorm_before(hidden_states), context
        )
        return hidden_states + self.output(self.intermediate(self.layernorm_after(hidden_states)))


class ViTEncoder(nn.Module):
    """Holds the layers under the checkpoint's name; `build` makes one from config and index."""

    def __init__(self, config: Any, build: Callable[[Any, int], nn.Module] = ViTLayer) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            build(config, index) for index in range(config.num_hidden_layers)
        )

    def prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        """Remove heads: layer to their numbers."""
        for layer, heads in heads_to_prune.items():
            self.layer[layer].attention.prune_heads(heads)  # type: ignore[union-attr, operator]
