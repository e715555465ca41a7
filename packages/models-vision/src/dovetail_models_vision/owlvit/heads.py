"""What OWL-ViT's detector makes of a patch: a box, and how well each query describes it.

B batch, N patches, Q queries, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.patches import Grid
from dovetail.layers.projections import Linear

EPSILON = 1e-6
NEAR_EDGE = 1e-4


class OwlViTBoxPredictionHead(nn.Module):
    """Three dense layers to the four numbers of a box."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense0, self.dense1 = Linear(width, width), Linear(width, width)
        self.dense2 = Linear(width, 4)

    def forward(self, patches: Tensor) -> Tensor:
        """Logits of boxes (..., N, 4) of patches (..., N, D)."""
        return self.dense2(F.gelu(self.dense1(F.gelu(self.dense0(patches)))))


class OwlViTClassPredictionHead(nn.Module):
    """Compares patches with queries; shift and scale depend on the patch."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.vision_config.hidden_size
        self.dense0 = Linear(width, config.text_config.hidden_size)
        self.logit_shift, self.logit_scale = Linear(width, 1), Linear(width, 1)

    def forward(
        self, patches: Tensor, queries: Tensor | None, given: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """Logits (B, N, Q) of patches (B, N, D) for `queries` (B, Q, D), the lowest number where
        `given` (B, Q) says that there is no query, and the patches' embeddings (B, N, D), of
        unit length where there are queries."""
        embeds = self.dense0(patches)
        if queries is None:
            return None, embeds
        embeds = unit(embeds)
        similarity = embeds @ unit(queries).transpose(-1, -2)
        shift, scale = self.logit_shift(patches), F.elu(self.logit_scale(patches)) + 1
        logits = (similarity + shift) * scale
        if given is not None:
            lowest = torch.finfo(logits.dtype).min
            logits = logits.masked_fill(~given[..., None, :], lowest).float()
        return logits, embeds


def unit(vectors: Tensor) -> Tensor:
    """`vectors` (..., D), of length one unless they are very short."""
    return vectors / (vectors.norm(dim=-1, keepdim=True) + EPSILON)


def box_bias(grid: Grid, like: Tensor) -> Tensor:
    """Logits (N, 4) of the boxes that patches start from: at their corner, of a patch's size."""
    rows, columns = grid
    x, y = (torch.arange(1, n + 1, device=like.device) / n for n in (columns, rows))
    corners = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
    sizes = torch.tensor([1 / columns, 1 / rows], device=like.device).expand_as(corners)
    boxes = torch.cat((corners, sizes), -1)
    return (torch.log(boxes + NEAR_EDGE) - torch.log1p(-boxes + NEAR_EDGE)).to(like.dtype)
