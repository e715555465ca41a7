"""Feed-forward blocks."""

from __future__ import annotations

from torch import Tensor, nn

from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear, together


class GatedMLP(nn.Module):
    """``down(act(gate(x)) * up(x))`` (arXiv 2002.05202), with the tensor names of the Llama
    line."""

    side_by_side = ("gate_proj", "up_proj")

    def __init__(
        self, hidden_size: int, intermediate_size: int, act: str = "silu", bias: bool = False
    ) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, intermediate_size, bias=bias)
        self.up_proj = Linear(hidden_size, intermediate_size, bias=bias)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=bias)
        self.act_fn = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = together(x, self.gate_proj, self.up_proj)
        return self.down_proj(self.act_fn(gate) * up)
