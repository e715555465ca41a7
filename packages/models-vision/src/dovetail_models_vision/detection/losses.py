"""What detection transformers are trained by: sums of losses over matched queries.

Each term is a function of a prediction (``logits`` (B, Q, classes), ``pred_boxes`` (B, Q, 4) and
maybe ``pred_masks`` (B, Q, H, W)), targets, matches and the number of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail_models_vision.detection.boxes import (
    generalized_iou,
    intersection_over_union,
    to_corners,
)
from dovetail_models_vision.detection.matching import (
    Matcher,
    Matches,
    Targets,
    focal_cost,
    matched,
    query_index,
)

Prediction = Mapping[str, Tensor]
Losses = dict[str, Tensor]
Term = Callable[[Prediction, Targets, Matches, Tensor], Losses]


def wanted_classes(logits: Tensor, targets: Targets, matches: Matches, nothing: int) -> Tensor:
    """The class (B, Q) of each query, `nothing` where it is not matched."""
    classes = torch.full(logits.shape[:2], nothing, dtype=torch.long, device=logits.device)
    classes[query_index(matches)] = matched(targets, "class_labels", matches).to(classes)
    return classes


def cross_entropy_term(
    prediction: Prediction, targets: Targets, matches: Matches, count: Tensor, *, empty: float
) -> Losses:
    """Cross-entropy; the last class, "no object", is weighed by `empty`."""
    logits = prediction["logits"]
    classes = logits.shape[-1] - 1
    weight = logits.new_ones(classes + 1)
    weight[-1] = empty
    wanted = wanted_classes(logits, targets, matches, classes)
    return {"loss_ce": F.cross_entropy(logits.transpose(1, 2), wanted, weight)}


def focal_term(
    prediction: Prediction,
    targets: Targets,
    matches: Matches,
    count: Tensor,
    *,
    alpha: float,
    gamma: float = 2.0,
) -> Losses:
    """The focal loss of every class for itself, for each object."""
    logits = prediction["logits"]
    classes = logits.shape[-1]
    wanted = F.one_hot(wanted_classes(logits, targets, matches, classes), classes + 1)[..., :-1]
    loss = sigmoid_focal_loss(logits, wanted.to(logits.dtype), alpha, gamma)
    return {"loss_ce": loss.sum() / count}


def varifocal_term(
    prediction: Prediction,
    targets: Targets,
    matches: Matches,
    count: Tensor,
    *,
    alpha: float,
    gamma: float,
) -> Losses:
    """The varifocal loss (arXiv 2008.13367) for each object: the better a matched box, the nearer
    to 1 its class is wanted."""
    logits, boxes = prediction["logits"], prediction["pred_boxes"][query_index(matches)].detach()
    classes = logits.shape[-1]
    wanted = matched(targets, "boxes", matches).to(boxes)
    overlap = intersection_over_union(to_corners(boxes), to_corners(wanted))[0].diagonal()
    found = F.one_hot(wanted_classes(logits, targets, matches, classes), classes + 1)[..., :-1]
    quality = logits.new_zeros(logits.shape[:2])
    quality[query_index(matches)] = overlap.to(quality)
    goal = quality[..., None] * found
    weight = alpha * logits.detach().sigmoid() ** gamma * (1 - found) + goal
    loss = F.binary_cross_entropy_with_logits(logits, goal, weight=weight, reduction="sum")
    return {"loss_vfl": loss / count}


def sigmoid_focal_loss(logits: Tensor, wanted: Tensor, alpha: float, gamma: float = 2.0) -> Tensor:
    """The focal loss (arXiv 1708.02002), element by element."""
    p = logits.sigmoid()
    right = p * wanted + (1 - p) * (1 - wanted)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    weight = alpha * wanted + (1 - alpha) * (1 - wanted)
    return weight * entropy * (1 - right) ** gamma


def box_term(prediction: Prediction, targets: Targets, matches: Matches, count: Tensor) -> Losses:
    """Distance and lack of overlap of matched boxes, for each object."""
    boxes = prediction["pred_boxes"][query_index(matches)]
    wanted = matched(targets, "boxes", matches).to(boxes)
    overlap = generalized_iou(to_corners(boxes), to_corners(wanted)).diagonal()
    return {
        "loss_bbox": F.l1_loss(boxes, wanted, reduction="sum") / count,
        "loss_giou": (1 - overlap).sum() / count,
    }


@torch.no_grad()
def cardinality_term(
    prediction: Prediction, targets: Targets, matches: Matches, count: Tensor
) -> Losses:
    """By how many objects the model is wrong: to be looked at, not to be trained by."""
    logits = prediction["logits"]
    found = (logits.argmax(-1) != logits.shape[-1] - 1).sum(1).float()
    there = [len(target["class_labels"]) for target in targets]
    return {"cardinality_error": F.l1_loss(found, found.new_tensor(there))}


def mask_term(prediction: Prediction, targets: Targets, matches: Matches, count: Tensor) -> Losses:
    """Focal and Dice loss of matched masks in the size of the targets, for each object."""
    masks = prediction["pred_masks"][query_index(matches)][:, None]
    wanted = matched(stacked_masks(targets), "masks", matches).to(masks)
    masks = F.interpolate(masks, size=wanted.shape[-2:], mode="bilinear", align_corners=False)
    masks, wanted = masks.flatten(1), wanted.flatten(1)
    focal = sigmoid_focal_loss(masks, wanted, 0.25)
    return {
        "loss_mask": focal.mean(1).sum() / count,
        "loss_dice": dice_loss(masks, wanted).sum() / count,
    }


def dice_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """One less the Dice coefficient (N,) of masks (N, places), with one place more in both."""
    p = logits.sigmoid()
    return 1 - (2 * (p * wanted).sum(-1) + 1) / (p.sum(-1) + wanted.sum(-1) + 1)


def stacked_masks(targets: Targets) -> Targets:
    """The masks of `targets` in one size, that of the largest, with zeros at the right and the
    bottom."""
    height = max(target["masks"].shape[-2] for target in targets)
    width = max(target["masks"].shape[-1] for target in targets)
    return [
        {"masks": F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2]))}
        for masks in (target["masks"] for target in targets)
    ]


@dataclass(frozen=True)
class Criterion:
    """The terms of a loss, those of them that auxiliary predictions get, and their weights; what
    has no weight is only shown."""

    matcher: Matcher
    terms: Sequence[Term]
    weights: Mapping[str, float]
    auxiliary_terms: Sequence[Term]

    def __call__(
        self,
        prediction: Prediction,
        targets: Targets,
        auxiliary: Mapping[str, Prediction] | None = None,
    ) -> tuple[Tensor, Losses]:
        """The loss and its parts. Names of `auxiliary` predictions are appended to their parts."""
        count = object_count(targets, prediction["logits"])
        losses = self.parts(prediction, targets, count, self.terms)
        for name, other in (auxiliary or {}).items():
            parts = self.parts(other, targets, count, self.auxiliary_terms)
            losses |= {f"{part}_{name}": loss for part, loss in parts.items()}
        return self.weighed(losses), losses

    def parts(
        self,
        prediction: Prediction,
        targets: Targets,
        count: Tensor,
        terms: Sequence[Term],
        matches: Matches | None = None,
    ) -> Losses:
        """All `terms` of one prediction, which is matched anew unless `matches` are known."""
        if matches is None:
            matches = self.matcher(prediction["logits"], prediction["pred_boxes"], targets)
        parts = [term(prediction, targets, matches, count) for term in terms]
        return {name: loss for part in parts for name, loss in part.items()}

    def weighed(self, losses: Losses) -> Tensor:
        """The sum of `losses`, each weighed by its name without what was appended."""
        total: Any = 0
        for name, loss in losses.items():
            stem = next((stem for stem in self.weights if is_stem(stem, name)), None)
            if stem is not None:
                total = total + self.weights[stem] * loss
        return total


def is_stem(stem: str, name: str) -> bool:
    """Whether `name` is `stem`, perhaps with something appended."""
    return name == stem or name.startswith(f"{stem}_")


def detr_criterion(config: Any, masks: bool = False) -> Criterion:
    """The loss of DETR by its config."""
    terms: list[Term] = [
        partial(cross_entropy_term, empty=config.eos_coefficient),
        box_term,
        cardinality_term,
    ]
    return Criterion(
        Matcher(config.class_cost, config.bbox_cost, config.giou_cost),
        [*terms, mask_term] if masks else terms,
        {
            "loss_ce": 1,
            "loss_bbox": config.bbox_loss_coefficient,
            "loss_giou": config.giou_loss_coefficient,
            "loss_mask": config.mask_loss_coefficient,
            "loss_dice": config.dice_loss_coefficient,
        },
        auxiliary_terms=terms,
    )


def deformable_criterion(config: Any) -> Criterion:
    """The loss of Deformable DETR by its config."""
    terms: list[Term] = [
        partial(focal_term, alpha=config.focal_alpha),
        box_term,
        cardinality_term,
    ]
    return Criterion(
        Matcher(config.class_cost, config.bbox_cost, config.giou_cost, focal_cost),
        terms,
        {
            "loss_ce": 1,
            "loss_bbox": config.bbox_loss_coefficient,
            "loss_giou": config.giou_loss_coefficient,
        },
        auxiliary_terms=terms,
    )


def object_count(targets: Targets, like: Tensor) -> Tensor:
    """How many objects there are, the mean over all processes that train together; at least 1."""
    count = like.new_tensor(float(sum(len(target["class_labels"]) for target in targets)))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count.clamp(min=1)
