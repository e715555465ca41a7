"""From a detector's queries to segments: which query owns a pixel, and which are worth naming."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dovetail.errors import ProcessorError


def check_targets(target_sizes: Any, batch: int) -> None:
    """Refuse sizes that are not one for each image."""
    if target_sizes is not None and len(target_sizes) != batch:
        raise ProcessorError(
            f"target_sizes: {len(target_sizes)} sizes for {batch} images. Pass one (height, width) "
            "for each image of the batch."
        )


def resized_maps(maps: Tensor, target_sizes: Any) -> list[Tensor]:
    """Scores (B, C, h, w) at each image's own size (C, H, W), by bilinear interpolation."""
    check_targets(target_sizes, len(maps))
    if target_sizes is None:
        return list(maps)
    return [
        F.interpolate(one[None], size=tuple(int(n) for n in size), mode="bilinear")[0]
        for one, size in zip(maps, target_sizes, strict=True)
    ]


def semantic_maps(scores: Tensor, target_sizes: Any) -> list[Tensor]:
    """The best class of each pixel, (H, W) for each image."""
    return [one.argmax(dim=0) for one in resized_maps(scores, target_sizes)]


def query_segments(
    masks: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    mask_threshold: float,
    overlap_threshold: float,
    fuse: Collection[int] = (),
    size: Sequence[int] | None = None,
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Segments of one image: a map of their numbers, (H, W), and what they are.

    Each pixel goes to the query with the highest product of mask (N, h, w) and score (N,). A query
    which loses too much of its mask that way is no segment. Segments of a class in `fuse` are one.
    """
    if size is not None:
        masks = F.interpolate(masks[None], size=tuple(int(n) for n in size), mode="bilinear")[0]
    weighted = masks * scores.view(-1, 1, 1)
    owner = weighted.argmax(dim=0)
    numbers = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
    found: list[dict[str, Any]] = []
    first_of: dict[int, int] = {}
    number = 0
    for query, label in enumerate(labels.tolist()):
        owned, claimed = owner == query, int((weighted[query] >= mask_threshold).sum())
        area = int(owned.sum())
        if not area or not claimed or area / claimed <= overlap_threshold:
            continue
        number = first_of[label] if label in first_of else number + 1
        numbers[owned] = number
        score = round(float(scores[query]), 6)
        found.append({"id": number, "label_id": label, "was_fused": label in fuse, "score": score})
        if label in fuse:
            first_of[label] = number
    return numbers, found


def run_lengths(segmentation: Tensor) -> list[list[int]]:
    """For each number of a map (H, W) its mask as (start, length, start, length, ...) along the
    rows, the first pixel being 1."""
    encoded = []
    for number in torch.unique(segmentation):
        flat = F.pad((segmentation == number).flatten().to(torch.int8), (1, 1))
        changes = (flat[1:] != flat[:-1]).nonzero()[:, 0] + 1
        changes[1::2] -= changes[::2].clone()
        encoded.append(changes.tolist())
    return encoded
