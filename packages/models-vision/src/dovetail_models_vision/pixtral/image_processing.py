"""Pixtral's pictures: each at its own size, in whole patches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ChannelDimension,
    PILImageResampling,
)
from dovetail_models_vision.images.groups import GroupedImageProcessor, Size
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.images.sizes import get_size_dict


class PixtralImageProcessor(GroupedImageProcessor):
    """Shrinks a picture into a box, ``size["longest_edge"]`` or its height and width, and stretches
    both edges to whole multiples of `patch_size`."""

    size = {"longest_edge": 1024}
    patch_size: Mapping[str, int] = {"height": 16, "width": 16}
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD

    def _checked(self, name: str, value: Any) -> Any:
        if name == "patch_size":
            return get_size_dict(value, param_name=name)
        if name == "size" and isinstance(value, int):
            value = {"longest_edge": value}
        checked = super()._checked(name, value)
        if name == "size" and set(checked) not in ({"longest_edge"}, {"height", "width"}):
            raise ProcessorError(
                f"size={checked}: PixtralImageProcessor needs 'longest_edge', or 'height' and "
                "'width'."
            )
        return checked

    def output_size(self, size: Size, settings: Settings) -> Size:
        """(height, width) in whole patches."""
        wanted, patch = settings.size, settings.patch_size
        box = [wanted.get("longest_edge") or wanted[edge] for edge in ("height", "width")]
        ratio = max(length / limit for length, limit in zip(size, box, strict=True))
        height, width = (math.ceil(length / ratio) if ratio > 1 else length for length in size)
        return (
            math.ceil(height / patch["height"]) * patch["height"],
            math.ceil(width / patch["width"]) * patch["width"],
        )

    def batch(self, pixels: Any, settings: Settings) -> dict[str, Any]:
        """For each text its pictures, which differ in size."""
        return {"pixel_values": pixels}

    def output(
        self,
        data: Mapping[str, Any],
        return_tensors: str | None,
        data_format: str | None = ChannelDimension.FIRST,
        pictures: Any = ("pixel_values",),
    ) -> BatchFeature:
        """``pixel_values``, for each text a list of arrays or tensors (C, H, W), and
        ``image_sizes``, for each text the height and width of each picture."""
        sizes = [
            [(int(picture.shape[1]), int(picture.shape[2])) for picture in group]
            for group in data["pixel_values"]
        ]
        made = super().output(data, None, data_format, pictures)
        BatchFeature({}, tensor_type=return_tensors)  # refuses what is no type of tensor
        if return_tensors == "pt":
            made["pixel_values"] = [
                [tensor(one) for one in group] for group in made["pixel_values"]
            ]
        made["image_sizes"] = sizes
        return made


def tensor(array: np.ndarray) -> Any:
    """The array as a tensor, without a copy."""
    import torch

    return torch.from_numpy(array)
