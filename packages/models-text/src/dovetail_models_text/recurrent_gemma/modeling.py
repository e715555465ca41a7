"""RecurrentGemma: recurrences in place of most attention, and local attention in every third layer
(Griffin, arXiv 2402.19427; arXiv 2404.07839).

A recurrent layer reads a short convolution into a state per channel, which fades at a rate that the
token sets. B batch, T tokens, D width, C recurrent channels, H blocks of the gates, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.generation.inputs import padded_positions
from dovetail.heads import ForCausalLM
from dovetail.layers.activations import activation
from dovetail.layers.attention import soft_cap
from dovetail.layers.convolution import CausalConv1d
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Linear
from dovetail.layers.recurrence import linear_recurrence
from dovetail.layers.rotary import RotaryEmbedding
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail_models_text.llama.modeling import LlamaAttention
from dovetail_models_text.recurrent_gemma.configuration import RecurrentGemmaConfig

RATE = 8.0  # c of the paper: how much faster than the parameter says a channel may fade
STEEPEST = 1000.0  # bound of the root's gradient


class BoundedRoot(torch.autograd.Function):
    """The square root, whose gradient near 0 is bounded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return gradients[0] / (2 * root).clamp(min=1 / STEEPEST)


class RecurrentGemmaRglru(nn.Module):
    """The recurrence: gates that read blocks of channels set how much a state takes up, and how
    fast it fades."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        blocks, channels = config.num_attention_heads, config.lru_width
        width = channels // blocks
        self.recurrent_param = nn.Parameter(torch.empty(channels))
        self.input_gate_weight = nn.Parameter(torch.empty(blocks, width, width))
        self.input_gate_bias = nn.Parameter(torch.empty(blocks, width))
        self.recurrent_gate_weight = nn.Parameter(torch.empty(blocks, width, width))
        self.recurrent_gate_bias = nn.Parameter(torch.empty(blocks, width))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Rates whose squares are spread evenly from 0.9 to 0.999 squared, and gates half open."""
        rate = torch.empty_like(self.recurrent_param).uniform_(0.9**2, 0.999**2).sqrt()
        self.recurrent_param.copy_(torch.log(1 / rate - 1))
        width = self.input_gate_weight.shape[-1]
        for weight in (self.input_gate_weight, self.recurrent_gate_weight):
            weight.normal_(std=(self.config.w_init_variance_scale / width) ** 0.5)
        for bias in (self.input_gate_bias, self.recurrent_gate_bias):
            bias.zero_()

    def forward(
        self, x: Tensor, positions: Tensor, text: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """States (B, T, C) after each of `x` (B, T, C), and the last of them, in float32.

        A text begins where `positions` (B or 1, T) are 0, with nothing before; where there is no
        `text` (B, T) the state stays as it is.
        """
        blocks = x.unflatten(-1, self.input_gate_bias.shape)
        taken = self.gate(blocks, self.input_gate_weight, self.input_gate_bias)
        faded = self.gate(blocks, self.recurrent_gate_weight, self.recurrent_gate_bias)
        log_rate = -RATE * faded.float() * F.softplus(self.recurrent_param.float())
        start = (positions == 0)[..., None]
        scale = BoundedRoot.apply(-torch.expm1(2 * log_rate)).masked_fill(start, 1.0)
        rate = log_rate.exp().masked_fill(start, 0.0)
        added = scale * (taken * x).float()
        if text is not None:
            rate = rate.masked_fill(~text[..., None], 1.0)
            added = added * text[..., None]
        states = linear_recurrence(rate.transpose(0, 1), added.transpose(0, 1), state)
        return states.transpose(0, 1), states[-1].clone()

    @staticmethod
    def gate(blocks: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The gate (B, T, C) of `blocks` (B, T, H, C / H)."""
        return (torch.einsum("bthi,hio->btho", blocks, weight) + bias).sigmoid().flatten(-2)


class RecurrentGemmaRecurrentBlock(nn.Module):
    """A branch of convolution and recurrence, multiplied with a branch that gates it."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.linear_y = Linear(config.hidden_size, config.lru_width)
        self.linear_x = Linear(config.hidden_size, config.lru_width)
        self.linear_out = Linear(config.lru_width, config.hidden_size)
        self.conv_1d = CausalConv1d(config.lru_width, config.conv1d_width)
        self.rg_lru = RecurrentGemmaRglru(config)
        self.act_fn = activation(config.hidden_activation)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        gate = self.act_fn(self.linear_y(hidden_states))
        x = self.linear_x(hidden_states)  # (B, T, C)
        text, positions = context.text, context.position_ids
        memory = context.states(self.layer_idx)
        window, state = (
            (None, None) if memory is None else map(memory.get, ("window", "recurrence"))
        )
        x, window = self.conv_1d(x, window, positions, text)
        x, state = self.rg_lru(x, positions, text, state)
        if memory is not None:
            memory.put(x.shape[1], window=window, recurrence=state)
        return self.linear_out(x.to(gate.dtype) * gate)


class RecurrentGemmaAttention(LlamaAttention):
    """Llama's attention with a bias behind it."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.o_proj = Linear(config.hidden_size, config.hidden_size)


BLOCKS = {"recurrent": RecurrentGemmaRecurrentBlock, "attention": RecurrentGemmaAttention}


class RecurrentGemmaDecoderLayer(nn.Module):
    """A recurrence or attention, and an MLP, each normalised before and added to the residual
    stream."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.temporal_pre_norm = RMSNorm(width, config.rms_norm_eps, offset=True)
        self.temporal_block = BLOCKS[config.layers_block_type[layer_idx]](config, layer_idx)
        self.channel_pre_norm = RMSNorm(width, config.rms_norm_eps, offset=True)
        self.mlp_block = GatedMLP(
            width, config.intermediate_size // 2, config.hidden_activation, bias=True
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        mixed = self.temporal_block(self.temporal_pre_norm(hidden_states), context)
        hidden_states = hidden_states + mixed
        return hidden_states + self.mlp_block(self.channel_pre_norm(hidden_states))


class RecurrentGemmaPreTrainedModel(PreTrainedModel):
    config_class = RecurrentGemmaConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["RecurrentGemmaDecoderLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary_emb\.inv_freq"]

    def _init_weights(self, module: nn.Module) -> None:
        """Weights as small as the paper has them: those behind a block the smaller, the more
        blocks."""
        if isinstance(module, RecurrentGemmaRglru):
            module.reset_parameters()
            return
        super()._init_weights(module)
        config = self.config
        if isinstance(module, nn.Embedding):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.Conv1d):
            module.weight.data.normal_(
                std=(config.w_init_variance_scale / config.conv1d_width) ** 0.5
            )
        elif isinstance(module, RecurrentGemmaRecurrentBlock | RecurrentGemmaAttention):
            last = {"linear_out": config.lru_width, "o_proj": config.hidden_size}
            for name, child in module.named_children():
                if not isinstance(child, nn.Linear):
                    continue
                scale = config.final_w_init_variance_scale if name in last else 1.0
                std = (scale / last.get(name, config.hidden_size)) ** 0.5
                child.weight.data.normal_(std=std)
                child._is_initialized = True


class RecurrentGemmaModel(RecurrentGemmaPreTrainedModel):
    """The network without a head."""

    def __init__(self, config: RecurrentGemmaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(
            RecurrentGemmaDecoderLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.final_norm = RMSNorm(config.hidden_size, config.rms_norm_eps, offset=True)
        rotated = int(config.head_dim * config.partial_rotary_factor)
        self.rotary_emb = RotaryEmbedding(rotated, config.rope_theta)
        # The factor was bfloat16 when the model was trained, and is what that made of it.
        scale = torch.tensor(config.hidden_size**0.5, dtype=torch.bfloat16, device="cpu")
        self.scale = scale.item()
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache_position: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        past_key_values: Cache | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, D) of the tokens.

        A text begins where `position_ids` (B, T) are 0; by default they count what `attention_mask`
        does not hide. What was read before is in `past_key_values`, and nowhere in the model.
        Windows count positions, padding included.
        """
        hidden_states = self.embed(input_ids, inputs_embeds)
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            position_ids = padded_positions(attention_mask)[:, -hidden_states.shape[1] :]
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
        hidden_states = self.run_layers(self.layers, hidden_states * self.scale, context)
        return BaseModelOutputWithPast(self.final_norm(hidden_states), context.next_cache)


class RecurrentGemmaForCausalLM(ForCausalLM, RecurrentGemmaPreTrainedModel):
    """The network with next-token logits."""

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D), bounded."""
        return soft_cap(super().logits(hidden_states), self.config.logits_soft_cap)

    def _prepare_cache(self, generation_config: Any, rows: int, max_length: int) -> Cache:
        """States and windows, unless another cache is asked for."""
        generation_config.cache_implementation = generation_config.cache_implementation or "hybrid"
        return super()._prepare_cache(generation_config, rows, max_length)
