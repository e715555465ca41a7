"""Bipartite matching of predicted objects with those in the labels (arXiv 2005.12872)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dovetail_models_vision.detection.boxes import generalized_iou, to_corners

Targets = Sequence[Mapping[str, Tensor]]
"""For each picture ``class_labels`` (N,), ``boxes`` (N, 4) and, for segmentation, ``masks`` (N, H,
W); boxes are by center and size, as parts of the picture."""
Matches = Sequence[tuple[Tensor, Tensor]]
"""For each picture which queries are matched with which of its objects."""


def class_probabilities(logits: Tensor) -> Tensor:
    """The cost (..., classes) of classes that exclude each other: the better, the likelier."""
    return -logits.softmax(-1)


def focal_cost(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The cost (..., classes) of classes that do not exclude each other: how the focal loss (arXiv
    1708.02002) changes where the class is there."""
    p = logits.sigmoid()
    absent = (1 - alpha) * p**gamma * -(1 - p + 1e-8).log()
    present = alpha * (1 - p) ** gamma * -(p + 1e-8).log()
    return present - absent


@dataclass(frozen=True)
class Matcher:
    """Matches each object with the query that costs least, over the whole picture.

    The cost is a weighed sum of `class_score`, the distance of boxes and their overlap.
    """

    class_cost: float
    bbox_cost: float
    giou_cost: float
    class_score: Callable[[Tensor], Tensor] = class_probabilities

    @torch.no_grad()
    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Matches:
        """Matches of `logits` (B, Q, classes) and `boxes` (B, Q, 4) with `targets`."""
        pairs = zip(logits, boxes, targets, strict=True)
        return [self.match(scores, own, target) for scores, own, target in pairs]

    def match(
        self, logits: Tensor, boxes: Tensor, target: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The matches of one picture."""
        wanted = target["boxes"].to(boxes)
        cost = self.class_cost * self.class_score(logits.float())[:, target["class_labels"]]
        cost = cost + self.bbox_cost * torch.cdist(boxes.float(), wanted.float(), p=1)
        overlap = generalized_iou(to_corners(boxes.float()), to_corners(wanted.float()))
        cost = cost - self.giou_cost * overlap
        rows, columns = linear_sum_assignment(cost.cpu().numpy())
        device = logits.device
        return torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)


def check_targets(targets: Targets, batch: int, classes: int, masks: bool = False) -> Targets:
    """`targets`, once they fit a batch of pictures and a model of `classes`.

    Raises:
        ValueError: they do not.
    """
    if len(targets) != batch:
        raise ValueError(f"labels describe {len(targets)} pictures, but {batch} are given.")
    wanted = ("class_labels", "boxes", *(("masks",) if masks else ()))
    for index, target in enumerate(targets):
        where = f"labels[{index}]"
        missing = [name for name in wanted if name not in target]
        if missing:
            raise ValueError(f"{where} lacks {missing}: give a dict with {list(wanted)}.")
        labels, boxes = target["class_labels"], target["boxes"]
        if tuple(boxes.shape) != (len(labels), 4):
            raise ValueError(
                f"{where}: boxes have the shape {tuple(boxes.shape)} for {len(labels)} "
                f"class_labels: give ({len(labels)}, 4), center, width and height."
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"{where}: class_labels {labels.tolist()} must be from 0 to {classes - 1}, as "
                "config.num_labels says."
            )
        if masks and len(target["masks"]) != len(labels):
            raise ValueError(
                f"{where}: {len(target['masks'])} masks for {len(labels)} class_labels."
            )
    return targets


def query_index(matches: Matches) -> tuple[Tensor, Tensor]:
    """Picture and query of every match, one after the other."""
    pictures = [torch.full_like(queries, index) for index, (queries, _) in enumerate(matches)]
    return torch.cat(pictures), torch.cat([queries for queries, _ in matches])


def matched(targets: Targets, name: str, matches: Matches) -> Tensor:
    """What the `targets` say of `name`, for every match."""
    rows = [target[name][objects] for target, (_, objects) in zip(targets, matches, strict=True)]
    return torch.cat(rows)
