"""A small decoder of the core's own blocks, for testing them without any model package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail.config_fields import TokenIds
from dovetail.configs import PretrainedConfig, Size
from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForQuestionAnswering, ForSequenceClassification
from dovetail.layers.attention import split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.pruning import HeadPruning
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import backbone


class DecoderConfig(PretrainedConfig):
    """Sizes of the decoder."""

    model_type = "decoder-for-tests"
    vocab_size: Size = 50
    hidden_size: Size = 16
    num_hidden_layers: Size = 2
    num_attention_heads: Size = 4
    num_key_value_heads: Size = 2
    max_position_embeddings: Size = 64
    use_cache: bool = True
    initializer_range: float = 0.3
    pad_token_id: TokenIds = 0
    tie_word_embeddings: bool = False


class DecoderAttention(HeadPruning):
    def __init__(self, config: DecoderConfig, layer_idx: int) -> None:
        super().__init__(config.num_attention_heads)
        self.layer_idx, self.width = layer_idx, config.hidden_size // config.num_attention_heads
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.num_key_value_heads * self.width)
        self.v_proj = Linear(config.hidden_size, config.num_key_value_heads * self.width)
        self.o_proj = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(p(hidden_states), self.width) for p in projections)
        query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        return self.o_proj(context.attend(query, key, value, self.layer_idx))

    def prune_heads(self, heads: list[int]) -> None:
        projections = ("q_proj", "k_proj", "v_proj")
        self.prune(heads, self, projections, self, "o_proj", self.width)


class DecoderLayer(nn.Module):
    def __init__(self, config: DecoderConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size)
        self.attention = DecoderAttention(config, layer_idx)
        self.mlp = GatedMLP(config.hidden_size, 24)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.attention(self.norm(hidden_states), context)
        return hidden_states + self.mlp(hidden_states)


class DecoderBase(PreTrainedModel):
    config_class = DecoderConfig
    base_model_prefix = "model"


class Decoder(DecoderBase):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            DecoderLayer(config, n) for n in range(config.num_hidden_layers)
        )
        width = config.hidden_size // config.num_attention_heads
        self.rotary = RotaryEmbedding(width, limit=config.max_position_embeddings)
        self.post_init()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.layers[layer].attention.prune_heads(heads)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Any = None,
    ) -> BaseModelOutputWithPast:
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
        context.rotary = self.rotary(hidden_states, context.position_ids)
        hidden_states = self.run_layers(self.layers, hidden_states, context)
        return BaseModelOutputWithPast(hidden_states, context.next_cache)


class DecoderForCausalLM(ForCausalLM, DecoderBase):
    body_class = Decoder


class DecoderForSequenceClassification(ForSequenceClassification, DecoderBase):
    body_class = Decoder


class DecoderForQuestionAnswering(ForQuestionAnswering, DecoderBase):
    body_class = Decoder


def decoder(cls: type[DecoderBase] = DecoderForCausalLM, **settings: Any) -> Any:
    """A decoder with reproducible weights, in evaluation mode."""
    torch.manual_seed(0)
    return cls(DecoderConfig(**settings)).eval()


def some_ids(batch: int = 2, length: int = 7) -> Tensor:
    """Token ids without padding."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, 50, (batch, length), generator=generator)
