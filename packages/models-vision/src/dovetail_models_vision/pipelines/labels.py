"""Scores to the records that classifiers of pictures and videos return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dovetail.errors import PipelineError


def best_labels(scores: Tensor, names: Mapping[int, str], top_k: int) -> list[dict[str, Any]]:
    """The `top_k` largest of `scores` (labels,) with their names, best first."""
    if top_k < 1:
        raise PipelineError(f"top_k={top_k!r}: at least one label has to be asked for.")
    values, order = scores.topk(min(top_k, len(scores)))
    return [
        {"label": names[index], "score": score}
        for score, index in zip(values.tolist(), order.tolist(), strict=True)
    ]


def hypotheses(labels: Sequence[str], template: str) -> list[str]:
    """The sentences that stand for `labels`; `PipelineError` where `template` has no place for
    one."""
    if not labels:
        raise PipelineError("candidate_labels is empty: name at least one label.")
    if template.format(labels[0]) == template:
        raise PipelineError(
            f"hypothesis_template={template!r} has no place for the label: write {{}} where it "
            "belongs."
        )
    return [template.format(label) for label in labels]


def listed(labels: str | Sequence[str]) -> list[str]:
    """The labels of a list, or of a text that separates them by commas."""
    if not isinstance(labels, str):
        return list(labels)
    return [name for part in labels.split(",") if (name := part.strip())]
