"""Contrastive denoising (arXiv 2203.03605): in training, noised objects are queries as well.

Each group holds every object twice: once moved a little, which the model is to put right, and once
moved farther, which it is to recognise as nothing. Groups do not see each other, and the queries
that look for objects do not see them. B batch, N objects of the richest picture, G groups, Q
queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dovetail_models_vision.detection.boxes import inverse_sigmoid, to_centers, to_corners
from dovetail_models_vision.detection.matching import Matches, Targets


@dataclass(frozen=True)
class NoisedObjects:
    """Queries made of objects: `classes` (B, 2 * G * N), `boxes` (B, 2 * G * N, 4) as logits, and
    which of each picture are `positive`, to be put right."""

    classes: Tensor
    boxes: Tensor
    positive: tuple[Tensor, ...]
    groups: int

    @property
    def count(self) -> int:
        """How many queries they are."""
        return self.classes.shape[1]

    def mask(self, queries: int, like: Tensor) -> Tensor:
        """What all queries, `queries` of which look for objects, add to the scores (1, 1, T, T) of
        whom they may not see, as `like`."""
        width = self.count // self.groups
        order = torch.arange(self.count + queries, device=like.device)
        group = (order // width).clamp(max=self.groups)
        hidden = (group[None] != group[:, None]) & (group[None] < self.groups)
        return torch.zeros_like(hidden, dtype=like.dtype).masked_fill(hidden, -torch.inf)[
            None, None
        ]

    def meta(self, queries: int) -> dict[str, Any]:
        """What the model's output says of them."""
        return {
            "dn_positive_idx": self.positive,
            "dn_num_group": self.groups,
            "dn_num_split": [self.count, queries],
        }

    def matches(self, targets: Targets) -> Matches:
        """Which queries were made of which object."""
        return [
            (
                places,
                torch.arange(len(target["class_labels"]), device=places.device).repeat(self.groups),
            )
            for places, target in zip(self.positive, targets, strict=True)
        ]


def noised_objects(
    targets: Targets, classes: int, queries: int, label_noise: float, box_noise: float
) -> NoisedObjects | None:
    """About `queries` noised objects of `targets`; None where there are no objects.

    A class is changed with probability `label_noise` / 2; edges of boxes move by up to `box_noise`
    halves of the box, those of negative ones by one to two times as much.
    """
    counts = [len(target["class_labels"]) for target in targets]
    most = max(counts, default=0)
    if not queries or not most:
        return None
    groups = max(queries // most, 1)
    device = targets[0]["boxes"].device
    labels = torch.full((len(targets), most), classes, device=device)
    boxes = torch.zeros(len(targets), most, 4, device=device)
    for row, target in enumerate(targets):
        labels[row, : counts[row]] = target["class_labels"].to(labels)
        boxes[row, : counts[row]] = target["boxes"].to(boxes)
    there = torch.arange(most, device=device) < torch.tensor(counts, device=device)[:, None]
    labels, boxes = labels.repeat(1, 2 * groups), boxes.repeat(1, 2 * groups, 1)
    negative = torch.arange(most * 2 * groups, device=device) // most % 2 == 1
    there = there.repeat(1, 2 * groups)
    positive = tuple(row.nonzero()[:, 0] for row in there & ~negative)
    if label_noise > 0:
        labels = other_classes(labels, there, classes, label_noise)
    if box_noise > 0:
        boxes = moved_boxes(boxes, negative, box_noise)
    return NoisedObjects(labels, inverse_sigmoid(boxes), positive, groups)


def other_classes(labels: Tensor, there: Tensor, classes: int, noise: float) -> Tensor:
    """`labels` (B, N), of which some that are `there` (B, N) are any of `classes`."""
    changed = torch.rand_like(labels, dtype=torch.float) < noise * 0.5
    return torch.where(changed & there, torch.randint_like(labels, 0, classes), labels)


def moved_boxes(boxes: Tensor, negative: Tensor, noise: float) -> Tensor:
    """`boxes` (B, N, 4) with each edge moved, farther where they are `negative` (N)."""
    direction = torch.randint_like(boxes, 0, 2) * 2.0 - 1.0
    distance = torch.rand_like(boxes) + negative[:, None]
    reach = (boxes[..., 2:] * 0.5 * noise).repeat(1, 1, 2)
    return to_centers((to_corners(boxes) + direction * distance * reach).clamp(0, 1))
