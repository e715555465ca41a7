"""Jamba: layers of Mamba with one of attention among eight, and experts in every other layer
(arXiv 2403.19887).

There are no positions but the order in which Mamba's layers read. Its time steps, and what it
writes and reads, are normalised, and its experts' weights do not sum to one.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import ForCausalLMWithExperts, ForSequenceClassification
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.moe import SparseMoE
from dovetail.layers.norms import RMSNorm
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import MoeModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail_models_text.jamba.configuration import JambaConfig
from dovetail_models_text.llama.modeling import LlamaAttention
from dovetail_models_text.mamba.modeling import MambaMixer


class JambaAttention(LlamaAttention):
    """Llama's attention without positions."""

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = self.project(hidden_states)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        return self.o_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class JambaMambaMixer(MambaMixer):
    """Mamba's mixer, whose choices are normalised."""

    def __init__(self, config: JambaConfig, layer_idx: int) -> None:
        super().__init__(
            layer_idx,
            config.hidden_size,
            config.mamba_expand * config.hidden_size,
            state_size=config.mamba_d_state,
            rank=int(config.mamba_dt_rank),
            kernel=config.mamba_d_conv,
            act=config.hidden_act,
            bias=config.mamba_proj_bias,
            conv_bias=config.mamba_conv_bias,
        )
        rank, state_size, _ = self.sizes
        self.dt_layernorm = RMSNorm(rank, config.rms_norm_eps)
        self.b_layernorm = RMSNorm(state_size, config.rms_norm_eps)
        self.c_layernorm = RMSNorm(state_size, config.rms_norm_eps)

    def choices(self, x: Tensor) -> tuple[Tensor, ...]:
        steps, write, read = super().choices(x)
        return self.dt_layernorm(steps), self.b_layernorm(write), self.c_layernorm(read)


class JambaSparseMoeBlock(SparseMoE):
    """Experts, weighed by the softmax over all of them."""

    router_name = "router"


def feed_forward(config: JambaConfig, layer_idx: int) -> nn.Module:
    """The MLP of a layer, or its experts."""
    count = config.layers_num_experts[layer_idx]
    experts = [
        GatedMLP(config.hidden_size, config.intermediate_size, config.hidden_act)
        for _ in range(count)
    ]
    if count == 1:
        return experts[0]
    return JambaSparseMoeBlock(
        config.hidden_size, experts, config.num_experts_per_tok, normalise=False
    )


class JambaDecoderLayer(nn.Module):
    """Attention or Mamba (`mix`), and an MLP or experts, each normalised before and added to the
    residual stream."""

    def __init__(self, config: JambaConfig, layer_idx: int) -> None:
        super().__init__()
        self.feed_forward = feed_forward(config, layer_idx)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.pre_ff_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.mix(self.input_layernorm(hidden_states), context)
        normed = self.pre_ff_layernorm(hidden_states)
        if isinstance(self.feed_forward, SparseMoE):
            return hidden_states + self.feed_forward(normed, context.recorder)
        return hidden_states + self.feed_forward(normed)

    def mix(self, hidden_states: Tensor, context: Context) -> Tensor:
        """What a token takes from those before it."""
        raise TypeError(f"{type(self).__name__} has neither attention nor states.")


class JambaAttentionDecoderLayer(JambaDecoderLayer):
    """A layer with attention."""

    def __init__(self, config: JambaConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.self_attn = JambaAttention(config, layer_idx)

    def mix(self, hidden_states: Tensor, context: Context) -> Tensor:
        return self.self_attn(hidden_states, context)


class JambaMambaDecoderLayer(JambaDecoderLayer):
    """A layer of Mamba."""

    def __init__(self, config: JambaConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.mamba = JambaMambaMixer(config, layer_idx)

    def mix(self, hidden_states: Tensor, context: Context) -> Tensor:
        return self.mamba(hidden_states, context)


LAYERS = {"attention": JambaAttentionDecoderLayer, "mamba": JambaMambaDecoderLayer}


class JambaPreTrainedModel(PreTrainedModel):
    config_class = JambaConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = [
        "JambaAttentionDecoderLayer",
        "JambaMambaDecoderLayer",
    ]

    def _init_weights(self, module: nn.Module) -> None:
        """States as in Mamba, all else as usual."""
        if isinstance(module, MambaMixer):
            module.reset_states()
        else:
            super()._init_weights(module)


class JambaModel(JambaPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(
            LAYERS[kind](config, index) for index, kind in enumerate(config.layers_block_type)
        )
        self.final_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
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
    ) -> MoeModelOutputWithPast:
        """Hidden states (B, T, D) of the tokens; `position_ids` say where texts in one row
        begin."""
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
        hidden_states = self.final_layernorm(self.run_layers(self.layers, hidden_states, context))
        return MoeModelOutputWithPast(
            last_hidden_state=hidden_states, past_key_values=context.next_cache
        )


class JambaForCausalLM(ForCausalLMWithExperts, JambaPreTrainedModel):
    """The decoder with next-token logits."""


class JambaForSequenceClassification(ForSequenceClassification, JambaPreTrainedModel):
    """The decoder with a label for each text."""
