"""The conformance kit passes a sound model and notices each kind of unsound one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from dovetail.caches import Cache, DynamicCache
from dovetail.config_fields import Size
from dovetail.configs import PretrainedConfig
from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary
from dovetail.masks import bidirectional_mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail.testing.conformance import CausalLMConformance


class KitConfig(PretrainedConfig):
    """Sizes of the smallest decoder there is."""

    model_type: ClassVar[str] = "kit"

    vocab_size: Size = 60
    hidden_size: Size = 16
    num_hidden_layers: Size = 2
    num_attention_heads: Size = 2
    pad_token_id: int | None = 0
    eos_token_id: int | None = 2
    use_cache: bool = True


class KitLayer(nn.Module):
    def __init__(self, config: KitConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.norm = nn.LayerNorm(config.hidden_size)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(0.1)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        heads = self.qkv(self.norm(hidden_states)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        query, key = apply_rotary(query, key, *context.rotary)
        key, value = context.remember(key, value, self.layer_idx)
        output = context.attend(query, key, value, self.layer_idx)
        return hidden_states + self.dropout(self.out(output))


class KitPreTrainedModel(PreTrainedModel):
    config_class = KitConfig
    base_model_prefix = "model"


class KitModel(KitPreTrainedModel):
    def __init__(self, config: KitConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        layers = (KitLayer(config, index) for index in range(config.num_hidden_layers))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.rotary = RotaryEmbedding(config.hidden_size // config.num_attention_heads)
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
        hidden_states = self.embed(input_ids, inputs_embeds)
        context = self.context(
            hidden_states,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
        )
        context.rotary = self.rotary(hidden_states, context.position_ids)
        hidden_states = self.norm(self.run_layers(self.layers, hidden_states, context))
        return BaseModelOutputWithPast(hidden_states, context.cache)

    def context(self, states: Tensor, mask: Tensor | None, **settings: Any) -> Context:
        return self.decoder_context(states, mask, **settings)


class KitForCausalLM(ForCausalLM, KitPreTrainedModel):
    body_class = KitModel


class KitForSequenceClassification(ForSequenceClassification, KitPreTrainedModel):
    body_class = KitModel


class TestKit(CausalLMConformance):
    config_class = KitConfig
    model_classes = (KitModel, KitForCausalLM, KitForSequenceClassification)
    sizes: ClassVar[dict[str, Any]] = {"tie_word_embeddings": True}


class TestUntiedKit(CausalLMConformance):
    config_class = KitConfig
    model_classes = (KitForCausalLM,)
    sizes: ClassVar[dict[str, Any]] = {"tie_word_embeddings": False}


# Unsound models: each has one fault, and one test of the battery must find it.


class SeesTheFuture(KitModel):
    def context(self, states: Tensor, mask: Tensor | None, **settings: Any) -> Context:
        context = super().context(states, mask, **settings)
        return replace(context, mask=bidirectional_mask(states, mask))


class IgnoresPadding(KitModel):
    def context(self, states: Tensor, mask: Tensor | None, **settings: Any) -> Context:
        position_ids = settings.pop("position_ids")
        context = super().context(states, None, **settings)
        return context if position_ids is None else replace(context, position_ids=position_ids)


class ForgetsTheCache(KitModel):
    def context(self, states: Tensor, mask: Tensor | None, **settings: Any) -> Context:
        context = super().context(states, mask, **settings)
        return (
            context if context.cache is None else replace(context, cache=DynamicCache(), mask=None)
        )


class MixesRows(KitModel):
    def embed(self, *args: Any) -> Tensor:
        embeddings = super().embed(*args)
        return embeddings + embeddings.mean(0, keepdim=True)


class IsRandom(KitModel):
    def embed(self, *args: Any) -> Tensor:
        embeddings = super().embed(*args)
        return embeddings + 0.01 * torch.rand_like(embeddings)


class NeglectsAWeight(KitModel):
    def __init__(self, config: KitConfig) -> None:
        super().__init__(config)
        self.neglected = nn.Parameter(torch.ones(3))


class DetachesALayer(KitModel):
    def run_layers(self, layers: Any, hidden_states: Tensor, context: Context) -> Tensor:
        first = super().run_layers(layers[:1], hidden_states, context)
        return super().run_layers(layers[1:], first.detach(), context)


class RecordsNothing(KitModel):
    def run_layers(self, layers: Any, hidden_states: Tensor, context: Context) -> Tensor:
        return super().run_layers(layers, hidden_states, replace(context, recorder=None))


class KeepsAHiddenState(KitModel):
    """Saves its weights without one that is not in the state dict."""

    def __init__(self, config: KitConfig) -> None:
        super().__init__(config)
        self.register_buffer("scale", torch.rand(()) + 1.0, persistent=False)

    def embed(self, *args: Any) -> Tensor:
        return super().embed(*args) * self.scale


FAULTS = {
    SeesTheFuture: "test_tokens_do_not_see_the_future",
    IgnoresPadding: "test_padding_on_the_left_changes_nothing",
    ForgetsTheCache: "test_steps_equal_one_pass",
    MixesRows: "test_rows_do_not_depend_on_their_batch",
    IsRandom: "test_same_input_gives_same_output",
    NeglectsAWeight: "test_every_parameter_gets_a_gradient",
    DetachesALayer: "test_every_parameter_gets_a_gradient",
    RecordsNothing: "test_hidden_states_and_attentions_are_recorded",
    KeepsAHiddenState: "test_round_trip_keeps_every_tensor",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_found(fault: type[KitModel], tmp_path: Path):
    unsound = type("KitForCausalLM", (KitForCausalLM,), {"body_class": fault})
    check = getattr(TestKit(), FAULTS[fault])
    arguments = (tmp_path,) if "round_trip" in FAULTS[fault] else ()
    with pytest.raises(AssertionError):
        check(unsound, *arguments)
