"""Cohere's Command R: Llama with attention and MLP side by side under one layer norm without bias,
interleaved rotary pairs, and scaled logits."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import ForCausalLM
from dovetail.layers.norms import HeadNorm
from dovetail.layers.rotary import apply_rotary, swap_neighbours
from dovetail_models_text.cohere.configuration import CohereConfig
from dovetail_models_text.llama.modeling import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaModel,
    LlamaPreTrainedModel,
)


class CohereAttention(LlamaAttention):
    """Attention with interleaved rotary pairs, and norms of queries and keys if the config says
    so."""

    def __init__(self, config: CohereConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        if config.use_qk_norm:
            heads = config.num_attention_heads, config.num_key_value_heads
            self.q_norm, self.k_norm = (
                HeadNorm(count, config.head_dim, config.layer_norm_eps) for count in heads
            )

    def project(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = super().project(hidden_states)
        if self.config.use_qk_norm:
            query = self.q_norm(query.transpose(1, 2)).transpose(1, 2)
            key = self.k_norm(key.transpose(1, 2)).transpose(1, 2)
        return query, key, value

    def rotate(self, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        return apply_rotary(query, key, cos, sin, swap=swap_neighbours)


class CohereDecoderLayer(LlamaDecoderLayer):
    """Attention and MLP read the same norm and are added together."""

    attention_class = CohereAttention

    @staticmethod
    def norms(config: Any) -> tuple[str, ...]:
        return ("input_layernorm",)

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        return nn.LayerNorm(config.hidden_size, config.layer_norm_eps, bias=False)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        normed = self.input_layernorm(hidden_states)
        return hidden_states + self.self_attn(normed, context) + self.mlp(normed)


class CoherePreTrainedModel(LlamaPreTrainedModel):
    config_class = CohereConfig
    _no_split_modules: ClassVar[list[str]] = ["CohereDecoderLayer"]


class CohereModel(LlamaModel, CoherePreTrainedModel):
    """The decoder without a head."""

    layer_class = CohereDecoderLayer


class CohereForCausalLM(ForCausalLM, CoherePreTrainedModel):
    """The decoder with next-token logits."""

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D), times ``config.logit_scale``."""
        return super().logits(hidden_states) * self.config.logit_scale
