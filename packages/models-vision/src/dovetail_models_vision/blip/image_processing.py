"""BLIP's pictures: squares of 384 pixels."""

from __future__ import annotations

from dovetail_models_vision.images.formats import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    PILImageResampling,
)
from dovetail_models_vision.images.processor import ImageProcessor


class BlipImageProcessor(ImageProcessor):
    """Resizes to a square, rescales and normalizes by CLIP's statistics."""

    size = {"height": 384, "width": 384}
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    do_convert_rgb = True
