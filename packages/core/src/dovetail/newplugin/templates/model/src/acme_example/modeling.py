"""AcmeExample: a decoder whose layers run attention and MLP side by side.

What differs from Llama: one norm per layer, and both branches read the same normalised states
(``x + attention(norm(x)) + mlp(norm(x))``).

B batch, T query length, D width, H heads, E head width.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from acme_example.configuration import AcmeExampleConfig
from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification
from dovetail.layers.attention import split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone


class AcmeExampleAttention(nn.Module):
    """Rotary attention with one projection for queries, keys and values."""

    def __init__(self, config: AcmeExampleConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.qkv_proj = Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.o_proj = Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """Mix `hidden_states` (B, T, D) across positions."""
        query, key, value = (
            split_heads(part, self.head_dim)  # (B, H, T, E)
            for part in self.qkv_proj(hidden_states).chunk(3, dim=-1)
        )
        query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        return self.o_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class AcmeExampleLayer(nn.Module):
    """Attention and MLP side by side."""

    def __init__(self, config: AcmeExampleConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = AcmeExampleAttention(config, layer_idx)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """Add both branches to the residual stream (B, T, D)."""
        states = self.norm(hidden_states)
        return hidden_states + self.attention(states, context) + self.mlp(states)


class AcmeExamplePreTrainedModel(PreTrainedModel):
    """What all AcmeExample models share."""

    config_class = AcmeExampleConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["AcmeExampleLayer"]


class AcmeExampleModel(AcmeExamplePreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: AcmeExampleConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(
            AcmeExampleLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        head_dim = config.hidden_size // config.num_attention_heads
        self.rotary_emb = RotaryEmbedding(
            head_dim, config.rope_theta, config.max_position_embeddings
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
        """Hidden states (B, T, D) of `input_ids` (B, T)."""
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
        return BaseModelOutputWithPast(hidden_states, context.cache)


class AcmeExampleForCausalLM(ForCausalLM, AcmeExamplePreTrainedModel):
    """AcmeExample with a language modelling head."""

    body_class = AcmeExampleModel


class AcmeExampleForSequenceClassification(ForSequenceClassification, AcmeExamplePreTrainedModel):
    """AcmeExample with a classifier over the last token."""

    body_class = AcmeExampleModel
