"""Boxes around all places of feature maps, from which detectors choose their queries."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail_models_vision.detection.deformable import Shapes

SIZE = 0.05
"""Width and height on the largest map, as parts of the picture; on each smaller one twice that."""
MARGIN = 0.01


def anchor_boxes(shapes: Shapes, like: Tensor, unusable: float) -> tuple[Tensor, Tensor]:
    """Logits (1, S, 4) of a box around every place of maps of `shapes`, by center and size, and
    which (1, S, 1) can be used: those at the edge or too large cannot, and are `unusable`. Device
    and dtype are those of `like`."""
    boxes = []
    for level, (height, width) in enumerate(shapes):
        x = (torch.arange(width, device=like.device) + 0.5) / width
        y = (torch.arange(height, device=like.device) + 0.5) / height
        centers = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
        boxes.append(torch.cat((centers, torch.full_like(centers, SIZE * 2.0**level)), -1))
    every = torch.cat(boxes)[None]
    usable = ((every > MARGIN) & (every < 1 - MARGIN)).all(-1, keepdim=True)
    return every.logit().masked_fill(~usable, unusable).to(like.dtype), usable
