"""What Mask2Former is trained by: classes and masks of matched queries, compared at points.

Points are drawn at random, most of them where a mask is in doubt (PointRend, arXiv 1912.08193).
Q queries, N objects, P points, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from dovetail_models_vision.detection.losses import (
    dice_loss,
    object_count,
    stacked_masks,
    wanted_classes,
)
from dovetail_models_vision.detection.matching import Matches, Targets, matched, query_index

Prediction = Mapping[str, Tensor]
WORST = 1e10
"""Costs beyond are cut, since the assignment needs finite ones."""


def sampled(masks: Tensor, points: Tensor) -> Tensor:
    """Values (N, P) of `masks` (N, H, W) at `points` (1 or N, P, 2), from 0 to 1 across and down,
    between the middles of pixels."""
    grid = (2 * points - 1).expand(len(masks), -1, -1)[:, :, None]
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0, :, 0]


def mask_costs(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice loss (Q, N) of each of `logits` (Q, P) with each of `wanted` (N,
    P)."""
    present, absent = F.softplus(-logits), F.softplus(logits)
    entropy = (present @ wanted.mT + absent @ (1 - wanted).mT) / logits.shape[1]
    p = logits.sigmoid()
    dice = 1 - (2 * p @ wanted.mT + 1) / (p.sum(-1)[:, None] + wanted.sum(-1) + 1)
    return entropy, dice


@dataclass(frozen=True)
class MaskCriterion:
    """The loss, by the weights of a config and those of classes (labels + 1,)."""

    config: Any
    class_weights: Tensor

    def __call__(
        self, predictions: Sequence[Prediction], targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of all `predictions`, the last one first, and its parts, weighed."""
        weights = {
            "loss_mask": self.config.mask_weight,
            "loss_dice": self.config.dice_weight,
            "loss_cross_entropy": self.config.class_weight,
        }
        count = object_count(targets, predictions[0]["class_queries_logits"])
        losses: dict[str, Tensor] = {}
        for index, prediction in enumerate(predictions):
            name = f"_{index - 1}" if index else ""
            parts = self.parts(prediction, targets, count)
            losses |= {f"{part}{name}": weights[part] * loss for part, loss in parts.items()}
        return torch.stack(list(losses.values())).sum(), losses

    def parts(self, prediction: Prediction, targets: Targets, count: Tensor) -> dict[str, Tensor]:
        """The loss's parts for one prediction."""
        classes, masks = (
            prediction[name].float() for name in ("class_queries_logits", "masks_queries_logits")
        )
        matches = [self.match(*one) for one in zip(classes, masks, targets, strict=True)]
        chosen = masks[query_index(matches)]
        wanted = matched(stacked_masks(targets), "masks", matches).to(chosen)
        with torch.no_grad():
            points = self.doubtful_points(chosen)
            truth = sampled(wanted, points)
        logits = sampled(chosen, points)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return {
            "loss_mask": entropy.mean(1).sum() / count,
            "loss_dice": dice_loss(logits, truth).sum() / count,
            "loss_cross_entropy": self.class_loss(classes, targets, matches),
        }

    def class_loss(self, logits: Tensor, targets: Targets, matches: Matches) -> Tensor:
        """Cross-entropy; the last class is "no object"."""
        wanted = wanted_classes(logits, targets, matches, logits.shape[-1] - 1)
        return F.cross_entropy(logits.transpose(1, 2), wanted, self.class_weights.to(logits))

    @torch.no_grad()
    def match(
        self, classes: Tensor, masks: Tensor, target: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Which queries of one picture are matched with which of its objects."""
        config, truth = self.config, target["masks"].to(masks)
        points = torch.rand(1, config.train_num_points, 2, device=masks.device)
        entropy, dice = mask_costs(sampled(masks, points), sampled(truth, points))
        likely = classes.softmax(-1)[:, target["class_labels"]]
        cost = config.mask_weight * entropy - config.class_weight * likely
        cost = torch.nan_to_num((cost + config.dice_weight * dice).clamp(-WORST, WORST), 0.0)
        pairs = linear_sum_assignment(cost.cpu().numpy())
        queries, objects = (torch.as_tensor(one, device=masks.device) for one in pairs)
        return queries, objects

    def doubtful_points(self, logits: Tensor) -> Tensor:
        """Points (N, P, 2) of masks (N, H, W): a part of them those of more where logits are
        nearest to 0, the rest anywhere."""
        config, count, device = self.config, self.config.train_num_points, logits.device
        drawn = torch.rand(len(logits), int(count * config.oversample_ratio), 2, device=device)
        certain = int(config.importance_sample_ratio * count)
        doubt = -sampled(logits, drawn).abs()
        chosen = doubt.topk(certain, dim=1).indices
        points = drawn.gather(1, chosen[..., None].expand(-1, -1, 2))
        anywhere = torch.rand(len(logits), count - certain, 2, device=device)
        return torch.cat((points, anywhere), 1) if count > certain else points


def check_objects(
    class_labels: Sequence[Tensor], mask_labels: Sequence[Tensor], batch: int, classes: int
) -> Targets:
    """Labels as targets, once they fit a batch of pictures and a model of `classes`.

    Raises:
        ValueError: they do not.
    """
    counts = {"class_labels": len(class_labels), "mask_labels": len(mask_labels)}
    for name, count in counts.items():
        if count != batch:
            raise ValueError(f"{name} describe {count} pictures, but {batch} are given.")
    for index, (labels, masks) in enumerate(zip(class_labels, mask_labels, strict=True)):
        if masks.dim() != 3 or len(masks) != len(labels):
            raise ValueError(
                f"mask_labels[{index}] has the shape {tuple(masks.shape)} for {len(labels)} "
                f"class_labels: give ({len(labels)}, height, width)."
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"class_labels[{index}] are {labels.tolist()} and must be from 0 to {classes - 1}, "
                "as config.num_labels says."
            )
    return [
        {"class_labels": labels, "masks": masks}
        for labels, masks in zip(class_labels, mask_labels, strict=True)
    ]
