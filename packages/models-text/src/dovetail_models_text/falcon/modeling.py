"""Falcon (arXiv 2311.16867): few keys and values, rotation or ALiBi, blocks of three layouts.

B batch, T query length, D width, H heads, K heads of keys and values, E head width, V vocabulary.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import (
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import PreTrainedModel
from dovetail_models_text.bloom.modeling import BloomMLP, BloomModel
from dovetail_models_text.falcon.configuration import FalconConfig


class FalconAttention(nn.Module):
    """Attention; each key and value stands behind the queries that share it in one projection."""

    def __init__(self, config: FalconConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        width, shared = config.hidden_size, config.num_key_value_heads
        self.layout = (shared, config.num_attention_heads // shared + 2, config.head_dim)
        self.query_key_value = Linear(width, width + 2 * shared * config.head_dim, config.bias)
        self.dense = Linear(width, width, config.bias)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused = self.query_key_value(hidden_states).unflatten(-1, self.layout)
        query = fused[..., :-2, :].flatten(2, 3).transpose(1, 2)  # (B, H, T, E)
        key, value = fused[..., -2, :].transpose(1, 2), fused[..., -1, :].transpose(1, 2)
        if context.rotary is not None:
            query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        output = context.attend(
            query, key, value, self.layer_idx, dropout=dropout, bias=context.bias
        )
        return self.dense(output)


class FalconDecoderLayer(nn.Module):
    """Attention and MLP: side by side behind two norms or one, or one after the other."""

    def __init__(self, config: FalconConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        names = ["ln_attn", "ln_mlp"] if config.norms_apart else ["input_layernorm"]
        if not config.parallel_attn:
            names.append("post_attention_layernorm")
        for name in names:
            setattr(self, name, nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon))
        self.self_attention = FalconAttention(config, layer_idx)
        self.mlp = BloomMLP(config, config.ffn_hidden_size, config.activation, config.bias)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.attention_dropout = nn.Dropout(config.attention_dropout)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        if self.config.norms_apart:
            attended = self.self_attention(self.ln_attn(hidden_states), context)
            return hidden_states + self.dropout(attended + self.mlp(self.ln_mlp(hidden_states)))
        normed = self.input_layernorm(hidden_states)
        attended = self.self_attention(normed, context)
        if self.config.parallel_attn:
            return hidden_states + self.dropout(attended + self.mlp(normed))
        hidden_states = hidden_states + self.attention_dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.post_attention_layernorm(hidden_states)))


class FalconPreTrainedModel(PreTrainedModel):
    config_class = FalconConfig
    base_model_prefix = "transformer"
    input_embeddings = "word_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["FalconDecoderLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary(_emb)?\.inv_freq"]


class FalconModel(FalconPreTrainedModel, BloomModel):
    """The decoder without a head."""

    def __init__(self, config: FalconConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList(
            FalconDecoderLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.ln_f = nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon)
        self.rotary_emb = RotaryEmbedding(
            config.head_dim, config.rope_theta, config.max_position_embeddings, config.rope_scaling
        )
        self.post_init()

    def place(self, tokens: Tensor, attention_mask: Tensor | None, context: Context) -> Tensor:
        """The tokens; angles or, as they were trained, biases of bfloat16 go into `context`."""
        if self.config.rotary:
            context.rotary = self.rotary_emb(tokens, context.position_ids)
        else:
            bias = self.biases(tokens, attention_mask, context, torch.bfloat16)
            context.bias = bias * self.config.head_dim**-0.5
        return tokens


class FalconForCausalLM(ForCausalLM, FalconPreTrainedModel):
    """The decoder with next-token logits."""


class FalconForSequenceClassification(ForSequenceClassification, FalconPreTrainedModel):
    """The decoder with a label for each text."""


class FalconForTokenClassification(ForTokenClassification, FalconPreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"


class FalconForQuestionAnswering(ForQuestionAnswering, FalconPreTrainedModel):
    """The decoder with a span for each answer."""
