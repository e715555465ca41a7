"""What RT-DETR is trained by: classes and boxes of matched queries and of noised objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from dovetail_models_vision.detection.losses import (
    Criterion,
    Losses,
    Prediction,
    Term,
    box_term,
    object_count,
    varifocal_term,
)
from dovetail_models_vision.detection.matching import (
    Matcher,
    Targets,
    class_probabilities,
    focal_cost,
)
from dovetail_models_vision.rt_detr.denoising import NoisedObjects


def criterion(config: Any) -> Criterion:
    """Matching, terms and weights by the config."""
    focal = partial(focal_cost, alpha=config.matcher_alpha, gamma=config.matcher_gamma)
    terms: list[Term] = [
        partial(varifocal_term, alpha=config.focal_loss_alpha, gamma=config.focal_loss_gamma),
        box_term,
    ]
    return Criterion(
        Matcher(
            config.matcher_class_cost,
            config.matcher_bbox_cost,
            config.matcher_giou_cost,
            focal if config.use_focal_loss else class_probabilities,
        ),
        terms,
        {
            "loss_vfl": config.weight_loss_vfl,
            "loss_bbox": config.weight_loss_bbox,
            "loss_giou": config.weight_loss_giou,
        },
        auxiliary_terms=terms,
    )


def detection_loss(
    config: Any,
    prediction: Prediction,
    targets: Targets,
    auxiliary: Sequence[Prediction] = (),
    noised: NoisedObjects | None = None,
    denoised: Sequence[Prediction] = (),
) -> tuple[Tensor, Losses]:
    """The loss and its weighed parts: of the last `prediction`, of `auxiliary` ones, and of what
    was made of `noised` objects, whose matches are known."""
    judge = criterion(config)
    count = object_count(targets, prediction["logits"])
    losses = judge.parts(prediction, targets, count, judge.terms)
    for index, other in enumerate(auxiliary):
        parts = judge.parts(other, targets, count, judge.terms)
        losses |= {f"{name}_aux_{index}": loss for name, loss in parts.items()}
    if noised is not None:
        matches = noised.matches(targets)
        for index, other in enumerate(denoised):
            parts = judge.parts(other, targets, count * noised.groups, judge.terms, matches)
            losses |= {f"{name}_dn_{index}": loss for name, loss in parts.items()}
    weighed = {
        name: loss * judge.weights["_".join(name.split("_")[:2])] for name, loss in losses.items()
    }
    return sum(weighed.values()), weighed  # type: ignore[return-value]
