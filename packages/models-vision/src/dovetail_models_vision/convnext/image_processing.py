"""ConvNeXt's pictures: below 384 pixels a crop of a larger resize, above it a plain square."""

from __future__ import annotations

from typing import Any

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.processor import ImageProcessor, Settings
from dovetail_models_vision.images.sizes import shortest_edge_size

UNCROPPED = 384
"""From this edge on nothing is cropped."""


class ConvNextImageProcessor(ImageProcessor):
    """`crop_pct` is the share of the shorter edge that a crop keeps."""

    size = {"shortest_edge": 384}
    crop_pct = 224 / 256
    resample = PILImageResampling.BILINEAR

    def sized(self, image: Any, settings: Settings) -> Any:
        """A square of ``size["shortest_edge"]`` pixels."""
        if not settings.do_resize:
            return image
        ops, edge = self.ops(), settings.size["shortest_edge"]
        if edge >= UNCROPPED:
            return ops.resize(image, (edge, edge), settings.resample)
        target = shortest_edge_size(tuple(image.shape[1:]), int(edge / settings.crop_pct))
        return ops.center_crop(ops.resize(image, target, settings.resample), (edge, edge))
