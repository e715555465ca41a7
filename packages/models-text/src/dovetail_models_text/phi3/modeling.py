"""Phi-3: Llama with fused projections, dropout of what is added to the residual stream, a sliding
window and LongRoPE (arXiv 2404.14219)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.generation.inputs import padded_positions
from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding
from dovetail.mapping import Synonym
from dovetail_models_text.llama.modeling import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaModel,
    LlamaPreTrainedModel,
)
from dovetail_models_text.phi3.configuration import Phi3Config


class Phi3Attention(LlamaAttention):
    """Attention with one projection for queries, keys and values."""

    def build_projections(self, width: int, queries: int, keys: int) -> None:
        self.widths = queries, keys, keys
        self.qkv_proj = Linear(width, sum(self.widths), bias=False)

    def project(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = self.qkv_proj(hidden_states).split(self.widths, -1)
        query, key, value = (split_heads(states, self.head_dim) for states in parts)
        return query, key, value


class Phi3MLP(nn.Module):
    """A gated MLP with one projection for gate and value."""

    def __init__(self, config: Phi3Config) -> None:
        super().__init__()
        self.gate_up_proj = Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gate, value = self.gate_up_proj(hidden_states).chunk(2, -1)
        return self.down_proj(value * self.act(gate))


class Phi3DecoderLayer(LlamaDecoderLayer):
    """Llama's layer with dropout before each sum."""

    attention_class = Phi3Attention

    def __init__(self, config: Phi3Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.dropout = nn.Dropout(config.resid_pdrop)

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        return Phi3MLP(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.self_attn(self.input_layernorm(hidden_states), context)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.post_attention_layernorm(hidden_states)))


class Phi3PreTrainedModel(LlamaPreTrainedModel):
    config_class = Phi3Config
    _no_split_modules: ClassVar[list[str]] = ["Phi3DecoderLayer"]


class Phi3Model(LlamaModel, Phi3PreTrainedModel):
    """The decoder without a head."""

    layer_class = Phi3DecoderLayer

    @staticmethod
    def make_rotary(config: Any, **scaling: Any) -> RotaryEmbedding:
        scaling["original_max_position_embeddings"] = config.original_max_position_embeddings
        return LlamaModel.make_rotary(config, **scaling)


class Phi3ForCausalLM(ForCausalLM, Phi3PreTrainedModel):
    """The decoder with next-token logits."""

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache_position: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Arguments of one forward pass; where the text (B, T) outgrows the short factors of
        LongRoPE the cache, whose keys they turned, is filled anew."""
        if cache_position is not None and self.outgrows_short_factors(input_ids, cache_position):
            past_key_values.reset()
            cache_position = torch.arange(input_ids.shape[1], device=input_ids.device)
            positions = None if attention_mask is None else padded_positions(attention_mask)
            kwargs["position_ids"] = positions
        return super().prepare_inputs_for_generation(
            input_ids, past_key_values, attention_mask, inputs_embeds, cache_position, **kwargs
        )

    def outgrows_short_factors(self, input_ids: Tensor, cache_position: Tensor) -> bool:
        """Whether this pass is the first one to need the long factors, others having filled the
        cache."""
        if self.model.rotary_emb.kind != "longrope" or len(cache_position) >= input_ids.shape[1]:
            return False
        limit = self.config.original_max_position_embeddings
        return int(cache_position[0]) <= limit < int(cache_position[-1]) + 1 == input_ids.shape[1]


class Phi3ForSequenceClassification(ForSequenceClassification, Phi3PreTrainedModel):
    """The decoder with a label for each text."""


class Phi3ForTokenClassification(ForTokenClassification, Phi3PreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"
    weight_mapping = (
        Synonym("score.weight", "classifier.weight"),  # as newer releases call it
        Synonym("score.bias", "classifier.bias"),
    )
