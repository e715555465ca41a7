"""SigLIP's pictures: squares of 224 pixels, by bicubic interpolation."""

from __future__ import annotations

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.processor import ImageProcessor


class SiglipImageProcessor(ImageProcessor):
    """Resizes to a square, rescales and normalizes to -1..1."""

    size = {"height": 224, "width": 224}
    resample = PILImageResampling.BICUBIC
    do_convert_rgb: bool | None = None
