"""LLaVA-NeXT-Video's original checkpoints: LLaVA-NeXT's with a config that says how frames are
pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail.converting import Shapes
from dovetail_models_vision.llava_next import conversion as llava_next

POOLING = {"mm_spatial_pool_mode": "spatial_pool_mode"}
STRIDE = {"mm_spatial_pool_stride": "spatial_pool_stride"}


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """As LLaVA-NeXT's; of the new tokens the first is the video's."""
    rows = shapes["model.embed_tokens.weight"][0]
    tokens = {"image_token_index": rows + 1, "video_token_index": rows}
    tokens = {name: values.get(name, token) for name, token in tokens.items()}
    found = llava_next.infer(settings, shapes, {**values, **tokens}) | tokens
    stride = values.get("spatial_pool_stride", 2)
    vision = found["vision_config"]
    frame = (vision["image_size"] // vision["patch_size"] // stride) ** 2
    return found | {"video_seq_length": frame}


def restore(config: Any) -> dict[str, Any]:
    """As LLaVA-NeXT's, with what says that there are videos."""
    return llava_next.restore(config) | {"mm_resampler_type": "spatial_pool"}


ORIGINAL = replace(
    llava_next.ORIGINAL,
    architecture="LlavaNextVideoForConditionalGeneration",
    fields=POOLING,
    optional=STRIDE,
    infer=infer,
    restore=restore,
    keys=("mm_spatial_pool_mode",),
    strangers=(),
)
