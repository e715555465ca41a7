"""VideoMAE's videos: the middle 224 x 224 pixels of every frame."""

from __future__ import annotations

from typing import Any

from dovetail import BatchFeature
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    PILImageResampling,
)
from dovetail_models_vision.images.processor import ImageProcessor
from dovetail_models_vision.videos.formats import list_of_videos, stacked


class VideoMAEImageProcessor(ImageProcessor):
    """Frame by frame what others do with pictures."""

    size = {"shortest_edge": 224}
    resample = PILImageResampling.BILINEAR
    do_center_crop = True
    crop_size = {"height": 224, "width": 224}

    def preprocess(  # type: ignore[override]
        self,
        videos: Any,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, T, C, H, W): a video is a list of frames or an array (T, ...)."""
        settings = self.settings(overrides)
        clips = [
            self.prepare(frames, settings, input_data_format) for frames in list_of_videos(videos)
        ]
        result = self.output({"pixel_values": clips}, None, data_format)
        if return_tensors is None:
            return result
        pixels = {"pixel_values": stacked(result["pixel_values"])}
        return BatchFeature(pixels, tensor_type=return_tensors)
