"""AcmeExample: a decoder whose layers run attention and MLP side by side.

What differs from Llama: one norm per layer, and both branches read the same normalised states
(``x + attention(norm(x)) + mlp(norm(x))``).

B batch, T query length, D width, H heads, E head width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from acme_example.configuration import AcmeExampleConfig
from dovetail.caches import Cache
from dovetail.heads import ForCausalLM, ForSequenceClassification
from dovetail.layers.attention import attention
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.masks import Mask, causal_mask
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

    def forward(
        self,
        hidden_states: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Mask | None,
        past_key_values: Cache | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> Tensor:
        """Mix `hidden_states` (B, T, D) across positions."""
        query, key, value = (
            part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, H, T, E)
            for part in self.qkv_proj(hidden_states).chunk(3, dim=-1)
        )
        query, key = apply_rotary(query, key, *rotary)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx, cache_position)
        output = attention(
            query,
            key,
            value,
            mask,
            dropout=self.config.attention_dropout if self.training else 0.0,
            implementation=self.config._attn_implementation,
            recorder=recorder,
        )
        return self.o_proj(output)


class AcmeExampleLayer(nn.Module):
    """Attention and MLP side by side."""

    def __init__(self, config: AcmeExampleConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = AcmeExampleAttention(config, layer_idx)
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size)

    def forward(self, hidden_states: Tensor, **attention_inputs: Any) -> Tensor:
        """Add both branches to the residual stream (B, T, D)."""
        states = self.norm(hidden_states)
        return hidden_states + self.attention(states, **attention_inputs) + self.mlp(states)


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
        cache = self.open_cache(past_key_values, use_cache)
        cache_position = self.positions(hidden_states, cache, cache_position)
        mask = causal_mask(
            hidden_states,
            attention_mask,
            cache=cache,
            cache_position=cache_position,
            position_ids=position_ids,
        )
        positions = cache_position[None] if position_ids is None else position_ids
        hidden_states = self.run_layers(
            self.layers,
            hidden_states,
            rotary=self.rotary_emb(hidden_states, positions),
            mask=mask,
            past_key_values=cache,
            cache_position=cache_position,
            recorder=recorder,
        )
        return BaseModelOutputWithPast(
            last_hidden_state=self.norm(hidden_states), past_key_values=cache
        )


class AcmeExampleForCausalLM(ForCausalLM, AcmeExamplePreTrainedModel):
    """AcmeExample with a language modelling head."""

    body_class = AcmeExampleModel


class AcmeExampleForSequenceClassification(ForSequenceClassification, AcmeExamplePreTrainedModel):
    """AcmeExample with a classifier over the last token."""

    body_class = AcmeExampleModel
