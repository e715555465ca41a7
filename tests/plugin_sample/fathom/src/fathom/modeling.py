"""Fathom: a decoder whose heads share one key and one value, with learned positions and no MLP.

B batch, T length, D width, H heads, E head width.
"""

from typing import ClassVar

from torch import nn

from dovetail.heads import ForCausalLM
from dovetail.layers.attention import split_heads
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import backbone
from fathom.configuration import FathomConfig


class FathomLayer(nn.Module):
    """Multi-query attention, normalised before and added to the residual stream."""

    def __init__(self, config, layer_idx):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.width = config.hidden_size // config.num_attention_heads
        self.norm = nn.LayerNorm(config.hidden_size)
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, self.width)
        self.value = nn.Linear(config.hidden_size, self.width)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states, context):
        states = self.norm(hidden_states)
        query, key, value = (
            split_heads(layer(states), self.width)  # (B, H or 1, T, E)
            for layer in (self.query, self.key, self.value)
        )
        key, value = context.remember(key, value, self.layer_idx)
        return hidden_states + self.out(context.attend(query, key, value, self.layer_idx))


class FathomPreTrainedModel(PreTrainedModel):
    config_class = FathomConfig
    base_model_prefix = "fathom"
    _no_split_modules: ClassVar[list[str]] = ["FathomLayer"]


class FathomModel(FathomPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(FathomLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        cache_position=None,
        recorder=None,
    ):
        """Hidden states (B, T, D) of `input_ids` (B, T)."""
        states = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            states,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
        )
        states = states + self.embed_positions(context.position_ids)
        states = self.norm(self.run_layers(self.layers, states, context))
        return BaseModelOutputWithPast(states, context.cache)


class FathomForCausalLM(ForCausalLM, FathomPreTrainedModel):
    body_class = FathomModel
