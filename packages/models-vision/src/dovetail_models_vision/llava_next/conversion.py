"""LLaVA-NeXT's original checkpoints: LLaVA's with the feature at the end of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Renames, Shapes
from dovetail_models_vision.llava import conversion as llava

NAMES = llava.NAMES | {"model.image_newline": "image_newline"}
PIN_POINTS = "image_grid_pinpoints"


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """As LLaVA's, with the pin points."""
    found = llava.infer(settings, shapes, values)
    if settings.get(PIN_POINTS) is not None:
        found[PIN_POINTS] = settings[PIN_POINTS]
    return found


def restore(config: Any) -> dict[str, Any]:
    """As LLaVA's, with the pin points."""
    return llava.restore(config) | {
        PIN_POINTS: config.image_grid_pinpoints,
        "image_aspect_ratio": "anyres",
        "mm_patch_merge_type": "spatial_unpad",
    }


ORIGINAL = replace(
    llava.ORIGINAL,
    architecture="LlavaNextForConditionalGeneration",
    steps=(Renames(NAMES), *llava.ORIGINAL.steps[1:]),  # type: ignore[index] # a sequence there
    infer=infer,
    restore=restore,
    marks=("model.mm_projector.0.weight", "model.image_newline"),
    keys=("image_grid_pinpoints",),
    strangers=("mm_spatial_pool_mode",),
)
