"""Llama 1 to 3: the decoder that most others are measured against (arXiv 2302.13971, 2307.09288,
2407.21783).

Pre-norm residual blocks with RMS norms, rotary positions, grouped-query attention and a gated MLP;
no biases. B batch, T query length, D width, H heads, K key-value heads, E head width.
"""

from __future__ import annotations

from typing import Any, ClassVar

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
from dovetail.layers.projections import Linear, together
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast, ModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_text.llama.configuration import LlamaConfig


class LlamaAttention(nn.Module):
    """Rotary attention in which groups of heads share keys and values.

    Relatives change `scale` (of the scores, by default ``E ** -0.5``), `softcap` (their bound),
    what is projected (`build_projections`, `project`) and how it is rotated (`rotate`).
    """

    side_by_side = ("q_proj", "k_proj", "v_proj")
    scale: float | None = None
    softcap: float | None = None

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx, self.head_dim = config, layer_idx, config.head_dim
        width, queries = config.hidden_size, config.num_attention_heads * config.head_dim
        self.build_projections(width, queries, config.num_key_value_heads * config.head_dim)
        self.o_proj = Linear(queries, width, bias=config.attention_bias)

    def build_projections(self, width: int, queries: int, keys: int) -> None:
        """Create what `project` uses: queries, keys and values of these widths, of `width`."""
        bias = self.config.attention_bias or self.config.qkv_bias
        self.q_proj = Linear(width, queries, bias=bias)
        self.k_proj = Linear(width, keys, bias=bias)
        self.v_proj = Linear(width, keys, bias=bias)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = self.project(hidden_states)
        query, key = self.rotate(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        output = context.attend(
            query,
            key,
            value,
            self.layer_idx,
            scale=self.scale,
            dropout=self.config.attention_dropout * self.training,
            softcap=self.softcap,
        )
        return self.o_proj(output)

    def project(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query (B, H, T, E), key and value (B, K, T, E) of `hidden_states` (B, T, D)."""
        projected = together(hidden_states, self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(states, self.head_dim) for states in projected)
        return query, key, value

    def rotate(self, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """Query and key turned by their positions."""
        return apply_rotary(query, key, cos, sin)


class LlamaDecoderLayer(nn.Module):
    """Attention and MLP, each normalised before and added to the residual stream.

    Relatives replace `attention_class`, `make_mlp`, the norms that `norms` names, and `make_norm`,
    which `LlamaModel` uses too.
    """

    attention_class: ClassVar[type[nn.Module]] = LlamaAttention
    mlp_name: ClassVar[str] = "mlp"
    mlp: nn.Module
    input_layernorm: nn.Module
    post_attention_layernorm: nn.Module

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = self.attention_class(config, layer_idx)
        self.add_module(self.mlp_name, self.make_mlp(config, layer_idx))
        for name in self.norms(config):
            self.add_module(name, self.make_norm(config))

    @staticmethod
    def norms(config: Any) -> tuple[str, ...]:
        """The names of the layer's norms."""
        return "input_layernorm", "post_attention_layernorm"

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        """The feed-forward block."""
        return GatedMLP(
            config.hidden_size, config.intermediate_size, config.hidden_act, config.mlp_bias
        )

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        """A norm over the width of the model."""
        return RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.self_attn(self.input_layernorm(hidden_states), context)
        normed = self.post_attention_layernorm(hidden_states)
        return hidden_states + self.feed_forward(normed, context)

    def feed_forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        """The MLP of the layer, to be added to the residual stream."""
        return self.mlp(hidden_states)


class LlamaPreTrainedModel(PreTrainedModel):
    config_class = LlamaConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["LlamaDecoderLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary_emb\.inv_freq"]


class LlamaModel(LlamaPreTrainedModel):
    """The decoder without a head.

    Relatives replace `layer_class`, `output_class` and the methods that make parts.
    """

    layer_class: ClassVar[type[LlamaDecoderLayer]] = LlamaDecoderLayer
    output_class: ClassVar[type[ModelOutput]] = BaseModelOutputWithPast

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embed_tokens = self.make_embeddings(config)
        self.layers = nn.ModuleList(
            self.make_layer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm = self.layer_class.make_norm(config)
        self.rotary_emb = self.make_rotary(config)
        self.post_init()

    @staticmethod
    def make_embeddings(config: Any) -> nn.Embedding:
        """The embedding of tokens."""
        return nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)

    @classmethod
    def make_layer(cls, config: Any, layer_idx: int) -> nn.Module:
        """One of the layers."""
        return cls.layer_class(config, layer_idx)

    @staticmethod
    def make_rotary(config: Any, **scaling: Any) -> RotaryEmbedding:
        """What turns positions into angles; `scaling` is what the config's own may leave out."""
        return RotaryEmbedding(
            int(config.head_dim * getattr(config, "partial_rotary_factor", 1.0)),
            config.rope_theta,
            config.max_position_embeddings,
            config.rope_scaling and scaling | config.rope_scaling,
            config.rope_interleaved,
        )

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
    ) -> ModelOutput:
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
        return self.output_class(
            last_hidden_state=hidden_states, past_key_values=context.next_cache
        )


class LlamaForCausalLM(ForCausalLM, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForSequenceClassification(ForSequenceClassification, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForTokenClassification(ForTokenClassification, LlamaPreTrainedModel):
    body_class = LlamaModel


class LlamaForQuestionAnswering(ForQuestionAnswering, LlamaPreTrainedModel):
    body_class = LlamaModel
    base_model_prefix = "transformer"
