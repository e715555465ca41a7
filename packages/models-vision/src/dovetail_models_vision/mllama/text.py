"""Llama 3.2 Vision's language model: Llama, between whose layers some attend to pictures.

B batch, T tokens, S features of all pictures of a text, D width, H heads, K key-value heads, E head
width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.caches import Cache, KeyValue
from dovetail.caches.base import CacheLayer
from dovetail.context import Context
from dovetail.heads import ForCausalLM
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.mapping import Step, Tensors
from dovetail.masks import Mask
from dovetail.outputs import ModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_text.llama.modeling import LlamaDecoderLayer, LlamaModel
from dovetail_models_vision.mllama.configuration import MllamaTextConfig
from dovetail_models_vision.mllama.vision import EXTRA_TOKENS, MllamaPreTrainedModel


@dataclass
class PictureContext(Context):
    """`seeing` (B, T, 1) is 0 for tokens that no picture is before, None when none is."""

    seeing: Tensor | None = None


class PictureLayer(CacheLayer):
    """The cache of a layer that reads pictures: it does not grow with the text."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        self.keys, self.values = key, value

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        self.keys, self.values = key, value
        return key, value

    def length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def crop(self, length: int) -> None:
        """Pictures stay, whatever of the text is forgotten."""


class MllamaTextCrossAttention(nn.Module):
    """Attention to pictures, with norms of queries and keys in place of rotations."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx, self.head_dim = layer_idx, config.head_dim
        width, queries = config.hidden_size, config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        self.q_proj = Linear(width, queries, bias=False)
        self.k_proj = Linear(width, keys, bias=False)
        self.v_proj = Linear(width, keys, bias=False)
        self.o_proj = Linear(queries, width, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, seen: KeyValue, context: Context) -> Tensor:
        query = self.q_norm(split_heads(self.q_proj(hidden_states), self.head_dim))
        output = attention(
            query,
            *seen,
            context.encoder_mask,
            implementation=context.implementation,
            recorder=context.recorder,
        )
        return self.o_proj(output)

    def keys_and_values(self, pictures: Tensor) -> KeyValue:
        """Keys and values (B, K, S, E) of features (B, S, D)."""
        key = self.k_norm(split_heads(self.k_proj(pictures), self.head_dim))
        return key, split_heads(self.v_proj(pictures), self.head_dim)

    def seen(self, context: Context) -> KeyValue | None:
        """Keys and values of the pictures: new ones, those of the cache, or None without."""
        pictures, cache = context.encoder_hidden_states, context.cache
        layers = [] if cache is None else cache.layers
        if pictures is None:
            held = layers[self.layer_idx] if self.layer_idx < len(layers) else None
            return (held.keys, held.values) if held is not None and held.length() else None  # type: ignore[return-value]
        made = self.keys_and_values(pictures)
        if cache is not None:
            cache.layer(self.layer_idx)
            cache.layers[self.layer_idx] = PictureLayer(*made)
        return made


class MllamaCrossAttentionDecoderLayer(nn.Module):
    """Attention to pictures and an MLP, both gated; without pictures nothing changes."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.cross_attn = MllamaTextCrossAttention(config, layer_idx)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.cross_attn_attn_gate = nn.Parameter(torch.zeros(1))
        self.mlp = GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.cross_attn_mlp_gate = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_states: Tensor, context: PictureContext) -> Tensor:
        seen = self.cross_attn.seen(context)
        if seen is None:
            return hidden_states
        attended = self.cross_attn(self.input_layernorm(hidden_states), seen, context)
        hidden_states = hidden_states + self.cross_attn_attn_gate.tanh() * attended
        changed = self.mlp(self.post_attention_layernorm(hidden_states))
        if context.seeing is not None:
            changed = context.seeing * changed
        return hidden_states + self.cross_attn_mlp_gate.tanh() * changed


class MllamaTextModel(LlamaModel, MllamaPreTrainedModel):
    """The language model without a head."""

    config_class: ClassVar[Any] = MllamaTextConfig
    base_model_prefix = "language_model.model"

    @staticmethod
    def make_embeddings(config: Any) -> nn.Embedding:
        size = config.vocab_size + EXTRA_TOKENS
        return nn.Embedding(size, config.hidden_size, config.pad_token_id)

    @classmethod
    def make_layer(cls, config: Any, layer_idx: int) -> nn.Module:
        reads = layer_idx in config.cross_attention_layers
        kind: Callable[..., nn.Module] = MllamaCrossAttentionDecoderLayer
        return (kind if reads else LlamaDecoderLayer)(config, layer_idx)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        cross_attention_states: Tensor | None = None,
        cross_attention_mask: Tensor | None = None,
        full_text_row_masked_out_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> ModelOutput:
        """Hidden states (B, T, D) of `input_ids` (B, T) that read features of pictures
        `cross_attention_states` (B, S, D), which a cache remembers.

        `cross_attention_mask` (B, 1, T, S) is added to the scores;
        `full_text_row_masked_out_mask` (B, 1, T, 1) is 0 for tokens that no picture is before.
        """
        hidden_states = self.embed(input_ids, inputs_embeds)
        plain = self.decoder_context(
            hidden_states,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
        )
        context = PictureContext(**vars(plain))
        context.rotary = self.rotary_emb(hidden_states, context.position_ids)
        if cross_attention_states is not None:  # one row of features for each text
            features = cross_attention_states.reshape(
                len(hidden_states), -1, hidden_states.shape[2]
            )
            context.encoder_hidden_states = features.to(hidden_states.dtype)
        if cross_attention_mask is not None:
            sizes = cross_attention_mask.shape[-2:]
            context.encoder_mask = Mask(*sizes, custom=cross_attention_mask)
        if full_text_row_masked_out_mask is not None:
            context.seeing = full_text_row_masked_out_mask[:, 0].to(hidden_states.dtype)
        hidden_states = self.norm(self.run_layers(self.layers, hidden_states, context))
        return self.output_class(
            last_hidden_state=hidden_states, past_key_values=context.next_cache
        )


@dataclass(frozen=True)
class WithoutPictures(Step):
    """Of a checkpoint that reads pictures the language model alone is taken."""

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """The language model's tensors under its own names."""
        prefix = "language_model."
        own = {name: one for name, one in tensors.items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): one for name, one in own.items()} or tensors

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """As they are."""
        return tensors


class MllamaForCausalLM(ForCausalLM, MllamaPreTrainedModel):
    """The language model with next-token logits; alone it writes about texts."""

    config_class: ClassVar[Any] = MllamaTextConfig
    body_class = MllamaTextModel
    weight_mapping: ClassVar[tuple[Step, ...]] = (WithoutPictures(),)
