"""Pictures of several sizes in one batch: padded below and to the right, with a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from dovetail.errors import ProcessorError
from dovetail_models_vision.images import exact
from dovetail_models_vision.images.processor import ImageProcessor

Size = tuple[int, int]


class PaddingImageProcessor(ImageProcessor):
    """Base of processors that keep the aspect of their pictures."""

    model_input_names: ClassVar[list[str]] = ["pixel_values", "pixel_mask"]  # type: ignore[misc]

    def padded(self, images: Any, size: Mapping[str, int] | None = None) -> dict[str, Any]:
        """``pixel_values`` of one size, the largest or `size`, and ``pixel_mask`` (B, H, W), 1 at
        pixels of the picture.

        Raises:
            ProcessorError: a picture is larger than `size`.
        """
        shapes = [tuple(image.shape[1:]) for image in images]
        height, width = (max(edges) for edges in zip(*shapes, strict=True))
        if size is not None:
            if size["height"] < height or size["width"] < width:
                raise ProcessorError(
                    f"pad_size={dict(size)} is smaller than an image of {height} x {width} pixels "
                    "(height x width) after its resize."
                )
            height, width = size["height"], size["width"]
        masks = self._blank((len(shapes), height, width))
        for mask, shape in zip(masks, shapes, strict=True):
            mask[: shape[0], : shape[1]] = 1
        if shapes != [(height, width)] * len(shapes):
            margins = [((0, height - h), (0, width - w)) for h, w in shapes]
            padded = [self.ops().pad(i, m) for i, m in zip(images, margins, strict=True)]
            images = self.together(padded)
        return {"pixel_values": images, "pixel_mask": masks}

    def _blank(self, shape: tuple[int, ...]) -> Any:
        """Zeros in 64-bit integers."""
        if self.ops() is exact:
            return np.zeros(shape, dtype=np.int64)
        import torch

        from dovetail.pages import blank

        return blank(shape, torch.int64)
