"""CLIP's pictures: the middle of a picture whose shorter edge is 224 pixels."""

from __future__ import annotations

from dovetail_models_vision.images.formats import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    PILImageResampling,
)
from dovetail_models_vision.images.processor import ImageProcessor


class CLIPImageProcessor(ImageProcessor):
    """Resizes the shorter edge, crops the middle and normalizes by CLIP's own statistics."""

    size = {"shortest_edge": 224}
    resample = PILImageResampling.BICUBIC
    do_center_crop = True
    crop_size = {"height": 224, "width": 224}
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    do_convert_rgb = True
