"""RWKV-4: a language model that is a recurrent network, trained like a Transformer (arXiv
2305.13048).

In place of attention each channel keeps an average of the values before, weighted by the
exponential of their keys and fading at a rate of its own. B batch, T tokens, D width, A width of
time mixing, V vocabulary, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from dovetail.caches import Cache, StateLayer, state_layer
from dovetail.context import Context
from dovetail.generation.inputs import Prompt
from dovetail.heads import ForCausalLM
from dovetail.layers.projections import Linear
from dovetail.layers.recurrence import linear_recurrence
from dovetail.modeling import INPUT_EMBEDDINGS, PreTrainedModel
from dovetail.outputs import ModelOutput, Tensors
from dovetail.recording import Recorder, backbone
from dovetail_models_text.rwkv.configuration import RwkvConfig

NOTHING = -1e38  # the exponent of a sum without terms
STATES = ("feed_forward", "attention", "numerator", "denominator", "maximum")

Sums = tuple[Tensor, Tensor]
"""Weighted sums of values and of ones (B, 2, A), and the largest exponent (B, A), by whose power
they are divided."""


class RwkvState(Cache):
    """What the layers remember; it reads as the field's list of five tensors.

    These are the last inputs of channel and of time mixing (B, D, L) and, of the averages,
    numerator, denominator and the exponent by whose power both are divided (B, A, L): copies.
    """

    def __init__(self) -> None:
        super().__init__(new_layer=StateLayer)

    @classmethod
    def from_legacy_cache(
        cls, past_key_values: Sequence[Any] | None = None, *args: Any, **kwargs: Any
    ) -> Self:
        """The state of which `past_key_values` are the five tensors; its length counts from
        here."""
        state = cls(*args, **kwargs)
        if past_key_values is None:
            return state
        if len(past_key_values) != len(STATES):
            raise ValueError(
                f"state has {len(past_key_values)} items and must have {len(STATES)}: "
                f"{', '.join(STATES)}. Pass on the state of an output."
            )
        layers = zip(*(tensor.unbind(-1) for tensor in past_key_values), strict=True)
        for index, layer in enumerate(layers):
            state_layer(state, index).put(0, **dict(zip(STATES, layer, strict=True)))
        return state

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        name = STATES[index]
        return torch.stack([layer.states[name] for layer in self.layers], -1)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(STATES) if self.layers else 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.layers)} layers, {self.seen_tokens} positions)"


def one_of(state: Any, past_key_values: Any) -> Any:
    """What the model remembers, given by either name."""
    if state is not None and past_key_values is not None:
        raise ValueError("state and past_key_values are the same: give one of them.")
    return past_key_values if state is None else state


class _WithState(ModelOutput):
    """An output whose cache is called `state`."""

    @property
    def past_key_values(self) -> Cache | None:
        """The state, by the name that other models have for it."""
        return self.get("state")


@dataclass
class RwkvOutput(_WithState):
    last_hidden_state: Tensor | None = None
    state: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class RwkvCausalLMOutput(_WithState):
    loss: Tensor | None = None
    logits: Tensor | None = None
    state: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


def weighted_averages(
    decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, past: Sums, text: Tensor | None
) -> tuple[Tensor, Sums]:
    """The average (T, B, A) of each token's value and all before it, and the sums after the last.

    A value's weight is the exponential of its `key` (T, B, A), plus `bonus` (A,) for the token
    itself, less `decay` (A,) for each token between. `past` are the sums before the first token.
    Positions that are not `text` (B, T) leave the sums as they are. All in float32.
    """
    kept, present = key, torch.ones_like(key[:, :1, :1])
    if text is not None:
        present = text.t()[..., None]
        kept = key.masked_fill(~present, NOTHING)
    peak = running_maximum(decay, kept, past[1], present)  # (T + 1, B, A)
    fading = (peak[:-1] - decay * present - peak[1:]).exp()
    weight = (kept - peak[1:]).exp() * present
    sums = linear_recurrence(
        fading[:, :, None], torch.stack((weight * value, weight), 2), past[0]
    )  # (T, B, 2, A)
    top, bottom = torch.cat((past[0][None], sums[:-1])).unbind(2)
    highest = torch.maximum(peak[:-1], key + bonus).detach()
    before, own = (peak[:-1] - highest).exp(), (key + bonus - highest).exp()
    averages = (before * top + own * value) / (before * bottom + own)
    return averages, (sums[-1], peak[-1])


@torch.no_grad()
def running_maximum(decay: Tensor, key: Tensor, past: Tensor, present: Tensor) -> Tensor:
    """The largest exponent before the first token and after each (T + 1, B, A): of those so far,
    which sink by `decay` with each token that is `present` (T, 1 or B, 1).

    Sums are divided by its power and multiplied again, so it needs no gradient; what is taken off
    by rounding here is taken off on both sides.
    """
    sunk = decay.double() * present.cumsum(0)
    highest = torch.cat((past[None].double(), key + sunk)).cummax(0).values
    highest[1:] -= sunk
    return highest.float()


class Mixing(nn.Module):
    """What time and channel mixing have in common: they read each token mixed with the one before,
    once for each of the `kinds` of projections.

    `name` is that of the state which holds the last input.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        for kind in self.kinds:
            factor = nn.Parameter(torch.empty(1, 1, config.hidden_size))
            self.register_parameter(f"time_mix_{kind}", factor)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Deeper layers and earlier channels look more at the token and less at the one before."""
        layers, width = self.config.num_hidden_layers, self.config.hidden_size
        place = torch.arange(width) / width
        exponent = 1 - self.layer_idx / layers
        for kind, factor in self.named_parameters(recurse=False):
            if kind == "time_mix_value":
                factor.copy_(place**exponent + 0.3 * self.layer_idx / max(layers - 1, 1))
            elif kind.startswith("time_mix"):
                halved = self.name == "attention" and kind == "time_mix_receptance"
                factor.copy_(place ** (exponent / 2 if halved else exponent))

    def read(self, hidden_states: Tensor, context: Context) -> list[Tensor]:
        """`hidden_states` (B, T, D), each mixed with the one before, for each kind."""
        states = context.states(self.layer_idx)
        last = None if states is None else states.get(self.name)
        if last is None:
            last = torch.zeros_like(hidden_states[:, 0])
        line = torch.cat((last[:, None].to(hidden_states), hidden_states), 1)
        if context.text is not None:  # what stands before a token may be padding
            numbers = torch.arange(1, line.shape[1], device=line.device)
            latest = (context.text * numbers).cummax(1).values
            latest = nn.functional.pad(latest, (1, 0))[..., None]
            line = line.gather(1, latest.expand_as(line))
        if states is not None:
            states.put(0, **{self.name: line[:, -1]})
        factors = (self.get_parameter(f"time_mix_{kind}") for kind in self.kinds)
        return [torch.lerp(line[:, :-1], hidden_states, factor) for factor in factors]

    def shrink(self, product: Tensor) -> Tensor:
        """`product` as much smaller as the residual stream is, at inference, in this layer."""
        halvings = 0 if self.training else self.config.halvings(self.layer_idx)
        return product * 0.5**halvings if halvings else product


class RwkvSelfAttention(Mixing):
    """Time mixing: averages of the values so far, gated by receptance."""

    name = "attention"
    kinds = ("key", "value", "receptance")

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        width, inner = config.hidden_size, config.attention_hidden_size
        self.time_decay = nn.Parameter(torch.empty(inner))
        self.time_first = nn.Parameter(torch.empty(inner))
        self.key = Linear(width, inner, bias=False)
        self.value = Linear(width, inner, bias=False)
        self.receptance = Linear(width, inner, bias=False)
        self.output = Linear(inner, width, bias=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Rates from very slow to fast over the channels, and a bonus that differs between
        neighbours."""
        super().reset_parameters()
        inner = len(self.time_decay)
        depth = self.layer_idx / max(self.config.num_hidden_layers - 1, 1)
        channels = torch.arange(inner)
        place = channels / max(inner - 1, 1)
        self.time_decay.copy_(-5 + 8 * place ** (0.7 + 1.3 * depth))
        self.time_first.copy_(math.log(0.3) + 0.5 * ((channels + 1) % 3 - 1))

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        for_key, for_value, for_gate = self.read(hidden_states, context)
        key, value = self.key(for_key), self.value(for_value)  # (B, T, A)
        averages = self.averages(key, value, context)
        gate = self.receptance(for_gate).sigmoid()
        output = self.output(self.shrink(gate * averages.to(gate.dtype)))
        if context.recorder is not None and context.recorder.attentions:
            context.recorder.add("attentions", output)
        return output

    def averages(self, key: Tensor, value: Tensor, context: Context) -> Tensor:
        """`weighted_averages` after what the layer remembers, in float32."""
        states = context.states(self.layer_idx)
        key, value = key.transpose(0, 1).float(), value.transpose(0, 1).float()
        if states is None or states.get("maximum") is None:
            past = key.new_zeros(key.shape[1], 2, key.shape[2]), torch.full_like(key[0], NOTHING)
        else:
            top, bottom, peak = (states.states[name].float() for name in STATES[2:])
            past = torch.stack((top, bottom), 1), peak
        decay, bonus = self.time_decay.float().exp(), self.time_first.float()
        averages, (sums, peak) = weighted_averages(decay, bonus, key, value, past, context.text)
        if states is not None:
            new = dict(zip(STATES[2:], (*sums.unbind(1), peak), strict=True))
            states.put(len(key), **new)
        return averages.transpose(0, 1)


class RwkvFeedForward(Mixing):
    """Channel mixing: an MLP with a squared ReLU, gated by receptance."""

    name = "feed_forward"
    kinds = ("key", "receptance")

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        width, inner = config.hidden_size, config.intermediate_size
        self.key = Linear(width, inner, bias=False)
        self.receptance = Linear(width, width, bias=False)
        self.value = Linear(inner, width, bias=False)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        for_key, for_gate = self.read(hidden_states, context)
        inner = self.shrink(self.key(for_key).relu().square())
        return self.receptance(for_gate).sigmoid() * self.value(inner)


class RwkvBlock(nn.Module):
    """Time and channel mixing, each normalised before and added to the residual stream, which some
    layers halve at inference."""

    def __init__(self, config: RwkvConfig, layer_idx: int) -> None:
        super().__init__()
        self.halves = config.halvings(layer_idx + 1) > config.halvings(layer_idx)
        self.pre_ln = self.make_norm(config) if layer_idx == 0 else nn.Identity()
        self.ln1 = self.make_norm(config)
        self.ln2 = self.make_norm(config)
        self.attention = RwkvSelfAttention(config, layer_idx)
        self.feed_forward = RwkvFeedForward(config, layer_idx)

    @staticmethod
    def make_norm(config: RwkvConfig) -> nn.Module:
        """A norm over the width of the model."""
        return nn.LayerNorm(config.hidden_size, config.layer_norm_epsilon)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = self.pre_ln(hidden_states)
        hidden_states = hidden_states + self.attention(self.ln1(hidden_states), context)
        hidden_states = hidden_states + self.feed_forward(self.ln2(hidden_states), context)
        return hidden_states / 2 if self.halves and not self.training else hidden_states


class RwkvPreTrainedModel(PreTrainedModel):
    config_class = RwkvConfig
    base_model_prefix = "rwkv"
    input_embeddings = "embeddings"
    output_embeddings = "head"
    _no_split_modules: ClassVar[list[str]] = ["RwkvBlock"]
    _keep_in_fp32_modules: ClassVar[list[str]] = ["time_decay", "time_first"]

    def _init_weights(self, module: nn.Module) -> None:
        """Mixing as the paper has it, matrices as torch does."""
        if isinstance(module, nn.Linear | nn.Embedding | Mixing):
            module.reset_parameters()
        else:
            super()._init_weights(module)


class RwkvModel(RwkvPreTrainedModel):
    """The network without a head."""

    def __init__(self, config: RwkvConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            RwkvBlock(config, index) for index in range(config.num_hidden_layers)
        )
        self.ln_out = nn.LayerNorm(config.hidden_size)  # not with config.layer_norm_epsilon
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        state: Cache | Sequence[Tensor] | None = None,
        use_cache: bool | None = None,
        past_key_values: Cache | Sequence[Tensor] | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> RwkvOutput:
        """Hidden states (B, T, D) of the tokens.

        `state` is that of an earlier output, which is brought up to date, or a list of five tensors
        (see `RwkvState`); `past_key_values` is the same. Without `use_cache` (by default in
        training) none is returned. Padding, where `attention_mask` is 0, is passed over.
        """
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        given = one_of(state, past_key_values)
        cache = self.open_cache(given, use_cache, RwkvState)
        hidden_states = self.embed(input_ids, inputs_embeds)
        if cache is not None and len(cache.layers) not in (0, len(self.blocks)):
            raise ValueError(
                f"state has {len(cache.layers)} layers and {type(self).__name__} "
                f"{len(self.blocks)}: it is that of another model; give one of this model, or none."
            )
        context = self.decoder_context(
            hidden_states,
            attention_mask,
            past_key_values=cache,
            use_cache=use_cache and cache is not None,
            cache_position=cache_position,
            recorder=recorder,
        )
        hidden_states = self.run_layers(self.blocks, hidden_states, context)
        if recorder is not None and recorder.hidden_states:
            # The field lists what layers return: the embeddings are not among it.
            recorder.add_hidden_state(hidden_states)
            del recorder.notes["hidden_states"][0]
        return RwkvOutput(self.ln_out(hidden_states), context.next_cache)


class RwkvForCausalLM(ForCausalLM, RwkvPreTrainedModel):
    """The network with next-token logits."""

    output_class = RwkvCausalLMOutput
    _tied_weights_keys: ClassVar[dict[str, str]] = {"head.weight": INPUT_EMBEDDINGS}

    def build_head(self) -> None:
        self.head = Linear(self.config.hidden_size, self.config.vocab_size, bias=False)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D)."""
        return self.head(hidden_states)

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: Any, model_kwargs: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """A given `state` is the cache; one of five tensors is what the prompt comes after."""
        given = one_of(model_kwargs.pop("state", None), model_kwargs.pop("past_key_values", None))
        if given is not None:
            model_kwargs["past_key_values"] = self.open_cache(given, True, RwkvState)
        return super()._prepare_model_kwargs(prompt, rows, config, model_kwargs)

    def _prepare_cache(self, generation_config: Any, rows: int, max_length: int) -> Cache:
        """A fresh state, whatever cache is asked for: its size is fixed."""
        return RwkvState()
