"""ViT's pictures: squares of 224 pixels."""

from __future__ import annotations

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.processor import ImageProcessor


class ViTImageProcessor(ImageProcessor):
    """Resizes to a square, rescales and normalizes to -1..1."""

    size = {"height": 224, "width": 224}
    resample = PILImageResampling.BILINEAR
