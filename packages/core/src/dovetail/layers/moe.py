"""Mixtures of experts: each token is read by the few experts that a router chooses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear
from dovetail.recording import Recorder


class SparseMoE(nn.Module):
    """A router and its experts, modules from (N, D) to (N, D), of which each token sees `top_k`.

    The chosen ones are weighed by the softmax over all experts, with `normalise` so that their
    weights sum to one. In training `jitter` multiplies what router and experts read by random
    factors between ``1 - jitter`` and ``1 + jitter`` (arXiv 2101.03961). Checkpoints keep the
    router as `router_name`.
    """

    router_name: ClassVar[str] = "gate"

    def __init__(
        self,
        hidden_size: int,
        experts: Iterable[nn.Module],
        top_k: int,
        normalise: bool = True,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        setattr(self, self.router_name, Linear(hidden_size, len(self.experts), bias=False))
        self.top_k, self.normalise, self.jitter = top_k, normalise, jitter

    def forward(self, hidden_states: Tensor, recorder: Recorder | None = None) -> Tensor:
        """What the experts make of `hidden_states` (B, T, D); the router's logits (B * T, X) are
        noted."""
        if self.training and self.jitter > 0:
            noise = torch.empty_like(hidden_states).uniform_(1 - self.jitter, 1 + self.jitter)
            hidden_states = hidden_states * noise
        tokens = hidden_states.flatten(0, 1)  # (N, D)
        logits = getattr(self, self.router_name)(tokens)  # (N, X)
        if recorder is not None:
            recorder.add_router_logits(logits)
        weights, chosen = self.route(logits)
        output = torch.zeros_like(tokens)
        for index in chosen.unique().tolist():
            rows, ranks = (chosen == index).nonzero(as_tuple=True)
            read = self.experts[index](tokens[rows]) * weights[rows, ranks, None]
            output = output.index_add(0, rows, read)
        return output.view_as(hidden_states)

    def route(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and numbers (N, top_k) of the experts for each token, the best first."""
        weights, chosen = F.softmax(logits, -1, dtype=torch.float32).topk(self.top_k, -1)
        if self.normalise:
            weights = weights / weights.sum(-1, keepdim=True)
        return weights.to(logits.dtype), chosen
