"""BLOOM: the multilingual decoder (arXiv 2211.05100), with ALiBi in place of positions.

Embeddings are normalised, query, key and value are one projection. B batch, T query length, D
width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import (
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.activations import activation
from dovetail.layers.alibi import alibi
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPastAndCrossAttentions
from dovetail.recording import Recorder, backbone
from dovetail_models_text.bloom.configuration import BloomConfig


class BloomAttention(nn.Module):
    """Attention under the biases of the context."""

    def __init__(self, config: BloomConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.hidden_size // config.n_head
        self.query_key_value = Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused = split_heads(self.query_key_value(hidden_states), 3 * self.head_dim)
        query, key, value = fused.chunk(3, -1)  # (B, H, T, E)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        output = context.attend(
            query, key, value, self.layer_idx, dropout=dropout, bias=context.bias
        )
        return self.dense(output)


class BloomMLP(nn.Module):
    """Two projections around an activation; relatives give another one, and an inner width."""

    def __init__(
        self, config: Any, size: int | None = None, act: str = "gelu_new", bias: bool = True
    ) -> None:
        super().__init__()
        size = size or 4 * config.hidden_size
        self.dense_h_to_4h = Linear(config.hidden_size, size, bias)
        self.dense_4h_to_h = Linear(size, config.hidden_size, bias)
        self.act = activation(act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dense_4h_to_h(self.act(self.dense_h_to_4h(hidden_states)))


class BloomBlock(nn.Module):
    """Attention and MLP, each normalised before and added to the stream or to what was
    normalised."""

    def __init__(self, config: BloomConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.self_attention = BloomAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(
            config.hidden_size, eps=config.layer_norm_epsilon
        )
        self.mlp = BloomMLP(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        normed = self.input_layernorm(hidden_states)
        hidden_states = self.add(hidden_states, normed, self.self_attention(normed, context))
        normed = self.post_attention_layernorm(hidden_states)
        return self.add(hidden_states, normed, self.mlp(normed))

    def add(self, hidden_states: Tensor, normed: Tensor, change: Tensor) -> Tensor:
        """The residual sum."""
        change = F.dropout(change, self.config.hidden_dropout, self.training)
        post = self.config.apply_residual_connection_post_layernorm
        return (normed if post else hidden_states) + change


class BloomPreTrainedModel(PreTrainedModel):
    config_class = BloomConfig
    base_model_prefix = "transformer"
    input_embeddings = "word_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["BloomBlock"]


class BloomModel(BloomPreTrainedModel):
    """The decoder without a head; relatives say where layers and norm are, and what makes
    positions."""

    stack: ClassVar[tuple[str, str]] = ("h", "ln_f")

    def __init__(self, config: BloomConfig) -> None:
        super().__init__(config)
        width, eps = config.hidden_size, config.layer_norm_epsilon
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.word_embeddings_layernorm = nn.LayerNorm(width, eps=eps)
        self.h = nn.ModuleList(BloomBlock(config, index) for index in range(config.n_layer))
        self.ln_f = nn.LayerNorm(width, eps=eps)
        self.post_init()

    def place(self, tokens: Tensor, attention_mask: Tensor | None, context: Context) -> Tensor:
        """What the layers read; biases go into `context`."""
        context.bias = self.biases(tokens, attention_mask, context)
        return self.word_embeddings_layernorm(tokens)

    def biases(
        self,
        tokens: Tensor,
        attention_mask: Tensor | None,
        context: Context,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """ALiBi towards all keys there will be."""
        length = tokens.shape[1]
        keys = length if context.cache is None else context.cache.key_length(length)
        return alibi(tokens, attention_mask, self.config.num_attention_heads, keys, dtype)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Hidden states (B, T, D) of the tokens; positions follow from `attention_mask`."""
        tokens = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            tokens,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
            head_mask=head_mask,
        )
        hidden_states = self.place(tokens, attention_mask, context)
        layers, norm = (self.get_submodule(name) for name in self.stack)
        hidden_states = norm(self.run_layers(layers, hidden_states, context))  # type: ignore[arg-type]
        return BaseModelOutputWithPastAndCrossAttentions(hidden_states, context.next_cache)


class BloomForCausalLM(ForCausalLM, BloomPreTrainedModel):
    """The decoder with next-token logits."""


class BloomForSequenceClassification(ForSequenceClassification, BloomPreTrainedModel):
    """The decoder with a label for each text."""


class BloomForTokenClassification(ForTokenClassification, BloomPreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"


class BloomForQuestionAnswering(ForQuestionAnswering, BloomPreTrainedModel):
    """The decoder with a span for each answer."""
