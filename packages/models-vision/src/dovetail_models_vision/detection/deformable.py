"""Multi-scale deformable attention (arXiv 2010.04159): a query looks at a few points of each map.

B batch, Q queries, S places of all maps, L maps, P points, H heads, E head width, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear
from dovetail_models_vision.detection.transformer import DetectionContext, plus

Shapes = Sequence[tuple[int, int]]
"""Height and width of each map."""


@dataclass
class DeformableContext(DetectionContext):
    """`shapes` of the maps, of which `visible` (B, S) ones are read, and `reference` points
    (B, Q, L, 2) or boxes (B, Q, L, 4) around which queries look."""

    shapes: Shapes = ()
    visible: Tensor | None = None
    reference: Tensor | None = None


def sample_maps(values: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """The weighed sum (B, Q, H * E) of `values` (B, S, H, E) at `locations` (B, Q, H, L, P, 2),
    which go from 0 to 1 over each map; `weights` are (B, Q, H, L, P). Outside there are zeros."""
    batch, _, heads, width = values.shape
    maps = values.split([height * width_ for height, width_ in shapes], 1)
    grid = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * H, Q, L, P, 2)
    found = [
        F.grid_sample(
            map_.permute(0, 2, 3, 1).reshape(batch * heads, width, *shape),
            grid[:, :, level],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )
        for level, (map_, shape) in enumerate(zip(maps, shapes, strict=True))
    ]
    weight = weights.transpose(1, 2).flatten(0, 1).flatten(2)[:, None]  # (B * H, 1, Q, L * P)
    output = (torch.cat(found, -1) * weight).sum(-1)  # (B * H, E, Q)
    return output.view(batch, heads * width, -1).mT


class DeformableAttention(nn.Module):
    """Looks at `points` of each of `levels` maps, whose places and weights the query says."""

    def __init__(
        self, width: int, heads: int, levels: int, points: int, cross: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.levels, self.points, self.cross = heads, levels, points, cross
        self.sampling_offsets = Linear(width, heads * levels * points * 2)
        self.attention_weights = Linear(width, heads * levels * points)
        self.value_proj = Linear(width, width)
        self.output_proj = Linear(width, width)

    def initialise(self) -> None:
        """Points start around the query, one direction for each head, each farther away."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ring = torch.stack((angles.cos(), angles.sin()), -1)
        ring = ring / ring.abs().amax(-1, keepdim=True)
        distance = torch.arange(1, self.points + 1)[:, None]
        start = (ring[:, None, None] * distance).expand(-1, self.levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(start.flatten())
        for layer in (self.attention_weights, self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.attention_weights.weight)

    def forward(self, hidden_states: Tensor, context: DeformableContext) -> Tensor:
        """What is to be added to `hidden_states` (B, Q, D)."""
        query = plus(hidden_states, context.own)
        source = context.encoder_hidden_states if self.cross else hidden_states
        values = self.value_proj(source)
        if context.visible is not None:
            values = values.masked_fill(~context.visible[..., None], 0)
        values = values.unflatten(-1, (self.heads, -1))
        sizes = (self.heads, self.levels, self.points)
        weights = self.attention_weights(query).unflatten(-1, (self.heads, -1)).softmax(-1)
        weights = weights.unflatten(-1, sizes[1:])
        offsets = self.sampling_offsets(query).unflatten(-1, (*sizes, 2))
        if context.recorder is not None and context.recorder.attentions:
            context.recorder.add("cross_attentions" if self.cross else "attentions", weights)
        locations = self.locations(offsets, context)
        return self.output_proj(sample_maps(values, context.shapes, locations, weights))

    def locations(self, offsets: Tensor, context: DeformableContext) -> Tensor:
        """Where (B, Q, H, L, P, 2) queries look: `offsets` count places of a map from a point, or
        halves of a box from its center."""
        reference = context.reference[:, :, None, :, None]  # type: ignore[index]
        if reference.shape[-1] == 4:
            return reference[..., :2] + offsets / self.points * reference[..., 2:] / 2
        sizes = offsets.new_tensor([(width, height) for height, width in context.shapes])
        return reference + offsets / sizes[:, None]


def valid_ratios(masks: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Which part of each map's width and height (B, L, 2) is picture, by `masks` (B, H, W)."""
    ratios = [
        torch.stack((mask[:, 0].sum(1) / mask.shape[2], mask[:, :, 0].sum(1) / mask.shape[1]), -1)
        for mask in masks
    ]
    return torch.stack(ratios, 1).to(dtype)


def own_places(shapes: Shapes, ratios: Tensor) -> Tensor:
    """The middle (B, S, L, 2) of every place in each map, as a part of the picture; `ratios` (B, L,
    2) say which part of the map that is."""
    points = []
    for level, (height, width) in enumerate(shapes):
        x = (torch.arange(width, device=ratios.device) + 0.5) / width
        y = (torch.arange(height, device=ratios.device) + 0.5) / height
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        points.append(grid.to(ratios.dtype) / ratios[:, None, level])
    return torch.cat(points, 1)[:, :, None] * ratios[:, None]
