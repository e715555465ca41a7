"""DPT's pictures: 384 pixels, whose aspect may be kept and whose edges may be multiples."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.processor import ImageProcessor, Settings
from dovetail_models_vision.images.segments import check_targets, semantic_maps
from dovetail_models_vision.images.sizes import multiple_of


class DPTImageProcessor(ImageProcessor):
    """`keep_aspect_ratio` scales both edges as the one that changes less, `ensure_multiple_of`
    rounds them, and with `do_pad` a border makes them multiples of `size_divisor`."""

    size = {"height": 384, "width": 384}
    resample = PILImageResampling.BICUBIC
    keep_aspect_ratio = False
    ensure_multiple_of = 1
    do_pad = False
    size_divisor: int | None = None

    def _needs(self) -> list[tuple[str, str]]:
        return [*super()._needs(), ("do_pad", "size_divisor")]

    def output_size(self, size: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """(height, width), rounded to multiples."""
        down, across = settings.size["height"] / size[0], settings.size["width"] / size[1]
        if settings.keep_aspect_ratio:
            down = across = across if abs(1 - across) < abs(1 - down) else down
        multiple = settings.ensure_multiple_of
        return multiple_of(down * size[0], multiple), multiple_of(across * size[1], multiple)

    def finished(self, images: Any, settings: Settings) -> Any:
        """Rescaled, normalized, and then padded on all sides."""
        done = super().finished(images, settings)
        if not settings.do_pad:
            return done
        return self.together([self._padded(one, settings.size_divisor) for one in done])

    def _padded(self, image: Any, divisor: int) -> Any:
        missing = [-length % divisor for length in image.shape[1:]]
        (above, left) = (rest // 2 for rest in missing)
        margins = ((above, missing[0] - above), (left, missing[1] - left))
        return self.ops().pad(image, margins)

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[Tensor]:
        """The class of each pixel, (H, W) for each image, at `target_sizes` if given."""
        return semantic_maps(outputs.logits, target_sizes)

    def post_process_depth_estimation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[dict[str, Tensor]]:
        """``predicted_depth`` (H, W) of each image, at `target_sizes` by bicubic interpolation."""
        depths = outputs.predicted_depth
        check_targets(target_sizes, len(depths))
        if target_sizes is None:
            return [{"predicted_depth": depth} for depth in depths]
        sizes = [tuple(int(n) for n in size) for size in target_sizes]
        return [
            {"predicted_depth": F.interpolate(d[None, None], size=size, mode="bicubic")[0, 0]}
            for d, size in zip(depths, sizes, strict=True)
        ]
