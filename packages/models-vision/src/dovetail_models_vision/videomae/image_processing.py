"""VideoMAE's videos: the middle 224 x 224 pixels of every frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    PILImageResampling,
    is_valid_image,
    make_list_of_images,
)
from dovetail_models_vision.images.processor import ImageProcessor


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
        stacked = {"pixel_values": [np.stack(clip) for clip in result["pixel_values"]]}
        return BatchFeature(stacked, tensor_type=return_tensors)


def list_of_videos(videos: Any) -> list[list[Any]]:
    """One video, several, or a single frame, as a list of lists of frames.

    Raises:
        ProcessorError: there is no frame, or something that is none.
    """
    if is_valid_image(videos) or (isinstance(videos, list | tuple) and _are_frames(videos)):
        videos = [videos]
    clips = [make_list_of_images(video) for video in videos]
    empty = [index for index, frames in enumerate(clips) if not frames]
    if not clips or empty:
        raise ProcessorError(
            f"videos: {'no video' if not clips else f'videos[{empty[0]}]'} has frames."
        )
    return clips


def _are_frames(items: Any) -> bool:
    return all(is_valid_image(item) and getattr(item, "ndim", 3) == 3 for item in items)
