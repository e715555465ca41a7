"""StableLM: Llama with layer norms, rotation of a part of each head, and as options norms of
queries and keys and a parallel MLP."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail_models_text.llama.modeling import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaModel,
    LlamaPreTrainedModel,
)
from dovetail_models_text.stablelm.configuration import StableLmConfig


class StableLmLayerNormPerHead(nn.Module):
    """A layer norm of its own, without bias, for each head of (B, H, T, E)."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=eps, bias=False) for _ in range(heads))

    def forward(self, states: Tensor) -> Tensor:
        heads = zip(self.norms, states.unbind(1), strict=True)
        return torch.stack([norm(head) for norm, head in heads], 1)


class StableLmAttention(LlamaAttention):
    """Attention whose queries and keys may be normalised head by head."""

    def __init__(self, config: StableLmConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        if config.qk_layernorm:
            heads = config.num_attention_heads, config.num_key_value_heads
            self.q_layernorm, self.k_layernorm = (
                StableLmLayerNormPerHead(config.head_dim, count, config.layer_norm_eps)
                for count in heads
            )

    def project(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = super().project(hidden_states)
        if self.config.qk_layernorm:
            query, key = self.q_layernorm(query), self.k_layernorm(key)
        return query, key, value


class StableLmDecoderLayer(LlamaDecoderLayer):
    """Attention and MLP, one after the other or, with ``use_parallel_residual``, side by side."""

    attention_class = StableLmAttention

    def __init__(self, config: StableLmConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.parallel = config.use_parallel_residual

    @staticmethod
    def norms(config: Any) -> tuple[str, ...]:
        return LlamaDecoderLayer.norms(config)[: 1 if config.use_parallel_residual else 2]

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        return nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        normed = self.input_layernorm(hidden_states)
        hidden_states = hidden_states + self.self_attn(normed, context)
        if not self.parallel:
            normed = self.post_attention_layernorm(hidden_states)
        return hidden_states + self.dropout(self.mlp(normed))


class StableLmPreTrainedModel(LlamaPreTrainedModel):
    config_class = StableLmConfig
    _no_split_modules: ClassVar[list[str]] = ["StableLmDecoderLayer"]


class StableLmModel(LlamaModel, StableLmPreTrainedModel):
    """The decoder without a head."""

    layer_class = StableLmDecoderLayer


class StableLmForCausalLM(ForCausalLM, StableLmPreTrainedModel):
    """The decoder with next-token logits."""


class StableLmForSequenceClassification(ForSequenceClassification, StableLmPreTrainedModel):
    """The decoder with a label for each text."""


class StableLmForTokenClassification(ForTokenClassification, StableLmPreTrainedModel):
    """The decoder with a label for each token."""
