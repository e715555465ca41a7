"""Llama 1 to 3: the decoder that most others are measured against (arXiv 2302.13971, 2307.09288,
2407.21783).

Pre-norm residual blocks with RMS norms, rotary positions, grouped-query attention and a gated MLP;
no biases. B batch, T query length, D width, H heads, K key-value heads, E head width.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import (
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.attention import split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail_models_text.llama.configuration import LlamaConfig


class LlamaAttention(nn.Module):
    """Rotary attention in which groups of heads share keys and values."""

    def __init__(self, config: LlamaConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx, self.head_dim = config, layer_idx, config.head_dim
        queries, keys = (
            config.num_attention_heads * config.head_dim,
            config.num_key_value_heads * config.head_dim,
        )
        self.q_proj = Linear(config.hidden_size, queries, bias=config.attention_bias)
        self.k_proj = Linear(config.hidden_size, keys, bias=config.attention_bias)
        self.v_proj = Linear(config.hidden_size, keys, bias=config.attention_bias)
        self.o_proj = Linear(queries, config.hidden_size, bias=config.attention_bias)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = (
            split_heads(projection(hidden_states), self.head_dim)  # (B, H or K, T, E)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        return self.o_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each normalised before and added to the residual stream."""

    def __init__(self, config: LlamaConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, layer_idx)
        self.mlp = GatedMLP(
            config.hidden_size, config.intermediate_size, config.hidden_act, config.mlp_bias
        )
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.self_attn(self.input_layernorm(hidden_states), context)
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class LlamaPreTrainedModel(PreTrainedModel):
    config_class = LlamaConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["LlamaDecoderLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary_emb\.inv_freq"]


class LlamaModel(LlamaPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(
            LlamaDecoderLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = RotaryEmbedding(
            config.head_dim, config.rope_theta, config.max_position_embeddings, config.rope_scaling
        )
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, D) of `input_ids` (B, T); arguments as everywhere in the field."""
        hidden_states = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            hidden_states,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
        )
        context.rotary = self.rotary_emb(hidden_states, context.position_ids)
        hidden_states = self.norm(self.run_layers(self.layers, hidden_states, context))
        return BaseModelOutputWithPast(hidden_states, context.next_cache)


class LlamaForCausalLM(ForCausalLM, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForSequenceClassification(ForSequenceClassification, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForTokenClassification(ForTokenClassification, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForQuestionAnswering(ForQuestionAnswering, LlamaPreTrainedModel):
    body_class = LlamaModel
    base_model_prefix = "transformer"
