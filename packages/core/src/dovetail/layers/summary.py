"""One vector per text: the summary heads of GPT, GPT-2, XLNet, XLM and ELECTRA."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError
from dovetail.layers.activations import activation, identity
from dovetail.layers.projections import Linear

KINDS = ("last", "first", "mean", "cls_index")


class SequenceSummary(nn.Module):
    """Picks or averages positions of (B, ..., T, D), then optionally dropout, projection,
    activation, dropout.

    `kind` is ``last``, ``first``, ``mean`` or ``cls_index`` (the positions given to `forward`, else
    the last).
    """

    def __init__(
        self,
        hidden_size: int,
        outputs: int | None = None,
        kind: str = "last",
        act: str | None = None,
        first_dropout: float = 0.0,
        last_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"summary_type={kind!r} is not one of {', '.join(KINDS)}.")
        self.kind = kind
        self.summary = nn.Identity() if outputs is None else Linear(hidden_size, outputs)
        self.activation = activation(act) if act else identity
        self.first_dropout, self.last_dropout = nn.Dropout(first_dropout), nn.Dropout(last_dropout)

    @classmethod
    def from_config(cls, config: Any) -> SequenceSummary:
        """Read the ``summary_*`` fields of a config."""
        labels = getattr(config, "summary_proj_to_labels", False) and config.num_labels > 0
        size = config.num_labels if labels else config.hidden_size
        return cls(
            config.hidden_size,
            size if getattr(config, "summary_use_proj", False) else None,
            getattr(config, "summary_type", "last"),
            getattr(config, "summary_activation", None),
            getattr(config, "summary_first_dropout", 0.0),
            getattr(config, "summary_last_dropout", 0.0),
        )

    def forward(self, hidden_states: Tensor, cls_index: Tensor | None = None) -> Tensor:
        pooled = self.pool(hidden_states, cls_index)
        return self.last_dropout(self.activation(self.summary(self.first_dropout(pooled))))

    def pool(self, hidden_states: Tensor, cls_index: Tensor | None) -> Tensor:
        """The vector (B, ..., D) before the projection; `cls_index` (B, ...) counts positions."""
        if self.kind == "first":
            return hidden_states[..., 0, :]
        if self.kind == "mean":
            return hidden_states.mean(-2)
        if self.kind == "last" or cls_index is None:
            return hidden_states[..., -1, :]
        index = cls_index[..., None, None].expand(*cls_index.shape, 1, hidden_states.shape[-1])
        return torch.gather(hidden_states, -2, index).squeeze(-2)
