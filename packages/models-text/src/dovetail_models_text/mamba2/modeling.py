"""Mamba 2: Mamba whose states fade at one rate per head, so that a text can be read by matrix
products, piece by piece (arXiv 2405.21060).

B batch, T tokens, H heads of width E, G groups of heads, N state size, P pieces of Q tokens.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.convolution import CausalConv1d
from dovetail.layers.projections import Linear
from dovetail.layers.recurrence import linear_recurrence
from dovetail_models_text.mamba.modeling import (
    MambaBlock,
    MambaForCausalLM,
    MambaModel,
    MambaPreTrainedModel,
    first_steps,
    text_only,
)
from dovetail_models_text.mamba2.configuration import Mamba2Config

PIECE = 64  # tokens that are read at once: so many make pairs and states cost about the same


def structured_scan(
    x: Tensor, fading: Tensor, write: Tensor, read: Tensor, state: Tensor | None, size: int
) -> tuple[Tensor, Tensor]:
    """What is read (B, T, H, E) from states that take up `x` (B, T, H, E), and the last state (B,
    H, E, N).

    At each token the state fades by the exponential of `fading` (B, T, H), negative, and takes up
    ``x * write``; `write` and `read` are (B, T, G, N). Computed in pieces of `size` tokens: within
    a piece all pairs of tokens at once, as attention does, and between pieces by their states.
    """
    rows, length, heads, width = x.shape
    groups, count = write.shape[2:]
    if length == 1:
        return one_step(x, fading, write, read, state)
    size = min(size, PIECE, length)
    pieces = -(-length // size)
    x, fading, write, read = (
        F.pad(tensor.flatten(2), (0, 0, 0, pieces * size - length)).view(
            rows, pieces, size, groups, -1, tensor.shape[-1]
        )
        for tensor in (x, fading[..., None], write, read)
    )  # (B, P, Q, G, heads of the group or 1, E, 1 or N)
    write, read = write[..., 0, :], read[..., 0, :]
    faded = fading[..., 0].cumsum(2)  # (B, P, Q, G, R)
    total = faded[:, :, -1:]
    between = faded[:, :, :, None] - faded[:, :, None]  # (B, P, Q, Q, G, R)
    future = torch.ones(size, size, dtype=torch.bool, device=x.device).triu(1)
    weights = between.masked_fill(future[..., None, None], float("-inf")).exp()
    weights = weights * torch.einsum("bpqgn,bpkgn->bpqkg", read, write)[..., None]
    output = torch.einsum("bpqkgr,bpkgre->bpqgre", weights, x)
    added = torch.einsum("bpqgre,bpqgn->pbgren", x * (total - faded).exp()[..., None], write)
    start = x.new_zeros(added.shape[1:]) if state is None else state.view(added.shape[1:])
    kept = total[:, :, 0].exp().transpose(0, 1)[..., None, None].expand_as(added)
    states = linear_recurrence(kept, added, start)  # (P, B, G, R, E, N)
    before = torch.cat((start[None], states[:-1]))
    carried = torch.einsum("bpqgn,pbgren->bpqgre", read, before)
    output = output + carried * faded.exp()[..., None]
    output = output.reshape(rows, -1, heads, width)[:, :length]
    return output, states[-1].reshape(rows, heads, width, count).clone()


def one_step(
    x: Tensor, fading: Tensor, write: Tensor, read: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`structured_scan` of a single token."""
    shared = x.shape[2] // write.shape[2]
    write, read = (tensor[:, 0].repeat_interleave(shared, 1) for tensor in (write, read))
    taken = x[:, 0, :, :, None] * write[:, :, None]  # (B, H, E, N)
    if state is not None:
        taken = torch.addcmul(taken, fading[:, 0].exp()[..., None, None], state.to(taken.dtype))
    return (taken @ read[..., None])[None, ..., 0].transpose(0, 1), taken


class GatedNorm(nn.Module):
    """A root-mean-square norm of each of `groups` equal parts, behind a gate."""

    def __init__(self, width: int, groups: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        parts = (x * gate).unflatten(-1, (self.groups, -1))
        parts = parts * torch.rsqrt(parts.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * parts.flatten(-2).to(self.weight.dtype)


class Mamba2Mixer(nn.Module):
    """Convolution, states and gate; one product makes the input of all of them."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        heads, groups, count = config.num_heads, config.n_groups, config.state_size
        inner = heads * config.head_dim
        self.layer_idx, self.chunk_size = layer_idx, config.chunk_size
        self.time_step_limit = config.time_step_limit
        self.parts = (inner, groups * count, groups * count)
        self.shapes = ((heads, -1), (groups, -1), (groups, -1))
        mixed = sum(self.parts)
        self.sizes = (inner, mixed, heads)
        self.in_proj = Linear(config.hidden_size, sum(self.sizes), bias=config.use_bias)
        self.conv1d = CausalConv1d(mixed, config.conv_kernel, bias=config.use_conv_bias)
        self.dt_bias = nn.Parameter(torch.empty(heads))
        self.A_log = nn.Parameter(torch.empty(heads))
        self.D = nn.Parameter(torch.empty(heads))
        self.norm = GatedNorm(inner, groups, config.layer_norm_epsilon)
        self.out_proj = Linear(inner, config.hidden_size, bias=config.use_bias)
        self.act = activation(config.hidden_act)

    def reset_states(self) -> None:
        """Let the states of head h fade at the rate h."""
        rates = torch.arange(1, len(self.A_log) + 1, dtype=torch.float32)
        self.A_log.data.copy_(rates.log())
        self.D.data.fill_(1.0)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        gate, mixed, steps = self.in_proj(hidden_states).split(self.sizes, -1)
        memory = context.states(self.layer_idx)
        window, state = (None, None) if memory is None else map(memory.get, ("conv", "ssm"))
        mixed, window = self.conv1d(mixed, window, text=context.text)
        mixed = text_only(self.act(mixed), context.text).float()
        x, write, read = (
            part.unflatten(-1, shape)
            for part, shape in zip(mixed.split(self.parts, -1), self.shapes, strict=True)
        )
        steps = F.softplus(steps.float() + self.dt_bias).clamp(*self.time_step_limit)  # (B, T, H)
        fading = -self.A_log.float().exp() * text_only(steps, context.text)
        output, state = structured_scan(
            x * steps[..., None], fading, write, read, state, self.chunk_size
        )
        if memory is not None:
            memory.put(x.shape[1], conv=window, ssm=state)
        output = (output + x * self.D[:, None]).flatten(2)
        return self.out_proj(self.norm(output, self.act(gate.float())))


class Mamba2Block(MambaBlock):
    """A mixer, normalised before and added to the residual stream."""

    @staticmethod
    def make_mixer(config: Any, layer_idx: int) -> nn.Module:
        return Mamba2Mixer(config, layer_idx)


class Mamba2PreTrainedModel(MambaPreTrainedModel):
    config_class = Mamba2Config
    _no_split_modules: ClassVar[list[str]] = ["Mamba2Block"]

    def _init_weights(self, module: nn.Module) -> None:
        """As in Mamba; heads have their time steps in `dt_bias`."""
        if isinstance(module, Mamba2Mixer):
            module.reset_states()
            module.dt_bias.data.copy_(first_steps(self.config, len(module.dt_bias)))
        else:
            super()._init_weights(module)


class Mamba2Model(MambaModel, Mamba2PreTrainedModel):
    """The layers without a head."""

    block_class = Mamba2Block


class Mamba2ForCausalLM(MambaForCausalLM, Mamba2PreTrainedModel):
    """The layers with next-token logits."""

    body_class = Mamba2Model
