"""GPT-NeoX: the decoder of the 20B model and of Pythia (arXiv 2204.06745).

Attention and MLP side by side, a fused projection, rotation of a part of each head. B batch, T
query length, D width, H heads, E head width, V vocabulary.
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
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.modeling import INPUT_EMBEDDINGS, PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail_models_text.bloom.modeling import BloomMLP
from dovetail_models_text.gpt_neox.configuration import GPTNeoXConfig


class GPTNeoXAttention(nn.Module):
    """Rotary attention; query, key and value of each head stand together in one projection."""

    def __init__(self, config: GPTNeoXConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        width, bias = config.hidden_size, config.attention_bias
        self.query_key_value = Linear(width, 3 * width, bias=bias)
        self.dense = Linear(width, width, bias=bias)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused = split_heads(self.query_key_value(hidden_states), 3 * self.head_dim)
        query, key, value = fused.chunk(3, -1)  # (B, H, T, E)
        query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        return self.dense(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class GPTNeoXLayer(nn.Module):
    """Attention and MLP, side by side or one after the other."""

    def __init__(self, config: GPTNeoXConfig, layer_idx: int) -> None:
        super().__init__()
        self.parallel = config.use_parallel_residual
        self.input_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.attention = GPTNeoXAttention(config, layer_idx)
        self.mlp = BloomMLP(config, config.intermediate_size, config.hidden_act)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.dropout(self.attention(self.input_layernorm(hidden_states), context))
        read = hidden_states if self.parallel else hidden_states + attended
        return (
            hidden_states + attended + self.dropout(self.mlp(self.post_attention_layernorm(read)))
        )


class GPTNeoXPreTrainedModel(PreTrainedModel):
    config_class = GPTNeoXConfig
    base_model_prefix = "gpt_neox"
    input_embeddings = "embed_in"
    output_embeddings = "embed_out"
    _no_split_modules: ClassVar[list[str]] = ["GPTNeoXLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"attention\.(masked_)?bias$",
        r"rotary_emb\.inv_freq",
    ]


class GPTNeoXModel(GPTNeoXPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: GPTNeoXConfig) -> None:
        super().__init__(config)
        width, heads = config.hidden_size, config.num_attention_heads
        self.embed_in = nn.Embedding(config.vocab_size, width)
        self.emb_dropout = nn.Dropout(config.hidden_dropout)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList(GPTNeoXLayer(config, index) for index in layers)
        self.final_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.rotary_emb = RotaryEmbedding(
            int(width // heads * config.rotary_pct),
            config.rotary_emb_base,
            config.max_position_embeddings,
            config.rope_scaling,
        )
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, D) of the tokens."""
        hidden_states = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            hidden_states,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
            head_mask=head_mask,
        )
        context.rotary = self.rotary_emb(hidden_states, context.position_ids)
        hidden_states = self.run_layers(self.layers, self.emb_dropout(hidden_states), context)
        return BaseModelOutputWithPast(self.final_layer_norm(hidden_states), context.next_cache)


class GPTNeoXForCausalLM(ForCausalLM, GPTNeoXPreTrainedModel):
    body_class = GPTNeoXModel
    _tied_weights_keys: ClassVar[dict[str, str]] = {"embed_out.weight": INPUT_EMBEDDINGS}

    def build_head(self) -> None:
        self.embed_out = Linear(self.config.hidden_size, self.config.vocab_size, bias=False)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D)."""
        return self.embed_out(hidden_states)


class GPTNeoXForSequenceClassification(ForSequenceClassification, GPTNeoXPreTrainedModel):
    body_class = GPTNeoXModel


class GPTNeoXForTokenClassification(ForTokenClassification, GPTNeoXPreTrainedModel):
    body_class = GPTNeoXModel
    classifier_name = "classifier"


class GPTNeoXForQuestionAnswering(ForQuestionAnswering, GPTNeoXPreTrainedModel):
    body_class = GPTNeoXModel
