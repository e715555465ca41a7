"""Mamba: layers without attention, whose states a token moves by as much as it chooses (arXiv
2312.00752).

Each channel of a layer has a state of N numbers that fade at rates of their own. A short
convolution reads the last tokens; from its output come the time step (how far the states move),
what is written into them and what is read from them. Nothing grows with the text: a `MambaCache`
holds the convolution's last inputs and the states. B batch, T tokens, C channels, N state size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache, MambaCache
from dovetail.context import Context
from dovetail.generation import GenerationConfig
from dovetail.generation.inputs import Prompt
from dovetail.heads import ForCausalLM
from dovetail.layers.activations import activation
from dovetail.layers.convolution import CausalConv1d
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.recurrence import linear_recurrence
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput, Tensors
from dovetail.recording import Recorder, backbone
from dovetail_models_text.mamba.configuration import MambaConfig

PIECE = 32  # positions whose states are in memory at once: so many fit a processor's own


class _WithCacheParams(ModelOutput):
    """An output whose cache is called `cache_params`."""

    @property
    def past_key_values(self) -> Cache | None:
        """The cache, by the name that other models have for it."""
        return self.get("cache_params")


@dataclass
class MambaOutput(_WithCacheParams):
    last_hidden_state: Tensor | None = None
    cache_params: Cache | None = None
    hidden_states: Tensors | None = None


@dataclass
class MambaCausalLMOutput(_WithCacheParams):
    loss: Tensor | None = None
    logits: Tensor | None = None
    cache_params: Cache | None = None
    hidden_states: Tensors | None = None


def text_only(x: Tensor, text: Tensor | None) -> Tensor:
    """`x` (B, T, C) with zeros where there is padding and no `text` (B, T)."""
    return x if text is None else x * text[..., None]


def selective_scan(
    x: Tensor,
    steps: Tensor,
    rates: Tensor,
    write: Tensor,
    read: Tensor,
    state: Tensor | None,
    positions: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What is read (B, T, C) from states that take up `x` (B, T, C), and the last state (B, C, N).

    At each token the state fades by ``exp(steps * rates)`` and takes up ``steps * x * write``;
    `steps` are (B, T, C), `rates` (C, N) and negative, `write` and `read` (B, T, N). All in
    float32. Where `positions` (B or 1, T) are 0 a text begins, with nothing before.
    """
    kept = x.new_ones(1, x.shape[1]) if positions is None else positions != 0
    parts = (x, steps, write, read, kept[..., None])
    pieces = (tensor.float().transpose(0, 1).split(PIECE) for tensor in parts)
    outputs = []
    for x, steps, write, read, kept in zip(*pieces, strict=True):  # (T, B, C or N or 1)
        fading = torch.exp(steps[..., None] * rates)  # (T, B, C, N)
        if positions is not None:
            fading = fading * kept[..., None]
        taken = (steps * x)[..., None] * write[:, :, None]
        states = linear_recurrence(fading, taken, state)
        state = states[-1]
        outputs.append(torch.einsum("tbcn,tbn->tbc", states, read))
    return torch.cat(outputs).transpose(0, 1), state.clone()  # type: ignore[union-attr]


class MambaMixer(nn.Module):
    """Convolution, selective states and gate; relatives replace `choices`."""

    def __init__(
        self,
        layer_idx: int,
        hidden_size: int,
        channels: int,
        *,
        state_size: int,
        rank: int,
        kernel: int,
        act: str,
        bias: bool,
        conv_bias: bool,
    ) -> None:
        super().__init__()
        self.layer_idx, self.sizes = layer_idx, (rank, state_size, state_size)
        self.in_proj = Linear(hidden_size, 2 * channels, bias=bias)
        self.conv1d = CausalConv1d(channels, kernel, bias=conv_bias)
        self.x_proj = Linear(channels, sum(self.sizes), bias=False)
        self.dt_proj = Linear(rank, channels)
        self.out_proj = Linear(channels, hidden_size, bias=bias)
        self.A_log = nn.Parameter(torch.empty(channels, state_size))
        self.D = nn.Parameter(torch.empty(channels))
        self.act = activation(act)

    def reset_states(self) -> None:
        """Let each channel's states fade at the rates 1 to N."""
        rates = torch.arange(1, self.A_log.shape[1] + 1, dtype=torch.float32)
        self.A_log.data.copy_(rates.log().expand_as(self.A_log))
        self.D.data.fill_(1.0)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        x, gate = self.in_proj(hidden_states).chunk(2, -1)  # (B, T, C)
        memory = context.states(self.layer_idx)
        window, state = (None, None) if memory is None else map(memory.get, ("conv", "ssm"))
        positions = context.packed_positions
        x, window = self.conv1d(x, window, positions, context.text)
        x = text_only(self.act(x), context.text)
        steps, write, read = self.choices(x)
        steps = text_only(F.softplus(self.dt_proj(steps)), context.text)
        rates = -self.A_log.float().exp()
        output, state = selective_scan(x, steps, rates, write, read, state, positions)
        if memory is not None:
            memory.put(x.shape[1], conv=window, ssm=state)
        output = (output + x * self.D).to(x.dtype)
        return self.out_proj(output * self.act(gate))

    def choices(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each token chooses: its time step (B, T, rank), what to write and to read (B, T,
        N)."""
        return self.x_proj(x).split(self.sizes, -1)


class MambaBlock(nn.Module):
    """A mixer, normalised before and added to the residual stream, which may be in float32."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.residual_in_fp32 = config.residual_in_fp32
        self.norm = RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.mixer = self.make_mixer(config, layer_idx)

    @staticmethod
    def make_mixer(config: Any, layer_idx: int) -> nn.Module:
        """What the layer does; relatives have another one."""
        return MambaMixer(
            layer_idx,
            config.hidden_size,
            config.intermediate_size,
            state_size=config.state_size,
            rank=config.time_step_rank,
            kernel=config.conv_kernel,
            act=config.hidden_act,
            bias=config.use_bias,
            conv_bias=config.use_conv_bias,
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        mixed = self.mixer(self.norm(hidden_states.to(self.norm.weight.dtype)), context)
        if self.residual_in_fp32:
            hidden_states = hidden_states.float()
        return hidden_states + mixed


class MambaPreTrainedModel(PreTrainedModel):
    config_class = MambaConfig
    base_model_prefix = "backbone"
    input_embeddings = "embeddings"
    _no_split_modules: ClassVar[list[str]] = ["MambaBlock"]

    def _init_weights(self, module: nn.Module) -> None:
        """States and time steps as the paper has them, projections as torch does."""
        if isinstance(module, MambaMixer):
            module.reset_states()
            self.init_steps(module.dt_proj)
        elif isinstance(module, nn.Linear | nn.Conv1d):
            module.reset_parameters()
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, MambaBlock) and self.config.rescale_prenorm_residual:
            projection = module.mixer.out_proj
            projection.reset_parameters()
            projection.weight.data /= math.sqrt(self.config.num_hidden_layers)
            projection._is_initialized = True
        else:
            super()._init_weights(module)

    def init_steps(self, projection: nn.Linear) -> None:
        """Let time steps begin between ``time_step_min`` and ``time_step_max``."""
        config = self.config
        spread = config.time_step_rank**-0.5 * config.time_step_scale
        if config.time_step_init_scheme == "constant":
            projection.weight.data.fill_(spread)
        else:
            projection.weight.data.uniform_(-spread, spread)
        projection.bias.data.copy_(first_steps(config, len(projection.bias)))
        projection._is_initialized = True  # type: ignore[assignment]


def first_steps(config: Any, count: int) -> Tensor:
    """Biases (`count`,) whose softplus is spread evenly, by its logarithm, over the config's
    range."""
    low, high = math.log(config.time_step_min), math.log(config.time_step_max)
    steps = torch.empty(count).uniform_(low, high).exp().clamp(min=config.time_step_floor)
    return steps + torch.log(-torch.expm1(-steps))


class MambaModel(MambaPreTrainedModel):
    """The layers without a head."""

    block_class: ClassVar[type[MambaBlock]] = MambaBlock

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            self.block_class(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm_f = RMSNorm(config.hidden_size, config.layer_norm_epsilon)
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache_params: Cache | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        recorder: Recorder | None = None,
    ) -> ModelOutput:
        """Hidden states (B, T, D) of the tokens, any number of them behind those that
        `cache_params` stands for; `past_key_values` is the same.

        A `cache_position` that begins with 0 begins a new text. Without `use_cache` (by default in
        training) no cache is returned. Padding, where `attention_mask` is 0, leaves no trace.
        """
        if cache_params is not None and past_key_values is not None:
            raise ValueError("cache_params and past_key_values are the same: give one of them.")
        cache = past_key_values if cache_params is None else cache_params
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if cache is None:
            cache = self.open_cache(None, use_cache, partial(MambaCache, self.config))
        elif cache_position is not None and cache.get_seq_length() and cache_position[0] == 0:
            cache.reset()
        hidden_states = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            hidden_states,
            attention_mask,
            past_key_values=cache,
            use_cache=use_cache and cache is not None,
            cache_position=cache_position,
            recorder=recorder,
        )
        hidden_states = self.run_layers(self.layers, hidden_states, context)
        if recorder is not None and recorder.hidden_states:
            # The field lists what layers return: the embeddings are not among it.
            recorder.add_hidden_state(hidden_states)
            del recorder.notes["hidden_states"][0]
        hidden_states = self.norm_f(hidden_states.to(self.norm_f.weight.dtype))
        return MambaOutput(hidden_states, context.next_cache)


class MambaForCausalLM(ForCausalLM, MambaPreTrainedModel):
    """The layers with next-token logits."""

    output_class = MambaCausalLMOutput

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: GenerationConfig, model_kwargs: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """`generate` has one name for caches of all kinds."""
        if "cache_params" in model_kwargs:
            model_kwargs["past_key_values"] = model_kwargs.pop("cache_params")
        return super()._prepare_model_kwargs(prompt, rows, config, model_kwargs)
