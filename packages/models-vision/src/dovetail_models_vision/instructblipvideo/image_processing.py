"""InstructBLIP's videos: squares of 384 pixels, given as their frames."""

from __future__ import annotations

from typing import Any

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_vision.blip.image_processing import BlipImageProcessor
from dovetail_models_vision.images.formats import is_valid_image

DIMENSIONS = 4
"""Of a video as one array: frames, height, width and channels in either order."""


class InstructBlipVideoImageProcessor(BlipImageProcessor):
    """As `BlipImageProcessor`, for each frame of videos."""

    def preprocess(self, images: Any = None, *args: Any, **kwargs: Any) -> BatchFeature:
        """``pixel_values`` (B, F, C, H, W) of videos: lists of frames or arrays (F, ...), several
        of them or one; a picture is a video of one frame. Arguments as for pictures.

        Raises:
            ProcessorError: a video has no frames, or they are not equally many in all videos.
        """
        videos = [list(video) for video in list_of_videos(images)]
        counts = [len(video) for video in videos]
        if not videos or 0 in counts:
            raise ProcessorError(f"images: videos of {counts or 'no'} frames; each needs some.")
        if len(set(counts)) > 1:
            raise ProcessorError(
                f"images: videos of {counts} frames; give as many frames of each video."
            )
        frames = [frame for video in videos for frame in video]
        made = super().preprocess(frames, *args, **kwargs)
        pixels, count = made["pixel_values"], counts[0]
        if hasattr(pixels, "reshape"):
            made["pixel_values"] = pixels.reshape(-1, count, *pixels.shape[1:])
        else:
            made["pixel_values"] = [
                pixels[start : start + count] for start in range(0, len(pixels), count)
            ]
        return made


def list_of_videos(images: Any) -> list[Any]:
    """Videos from one or several, or from a picture.

    Raises:
        ProcessorError: it is none of these.
    """
    if is_video(images):
        return [images]
    if isinstance(images, list | tuple) and images and all(map(is_video, images)):
        return list(images)
    if hasattr(images, "ndim") and images.ndim == DIMENSIONS + 1:
        return list(images)
    if is_valid_image(images):
        return [[images]]
    raise ProcessorError(
        f"images: {type(images).__name__} is no video: give a list of frames, an array (frames, "
        "height, width, channels), or a list of videos."
    )


def is_video(given: Any) -> bool:
    """Whether it is the frames of one video."""
    if isinstance(given, list | tuple):
        return all(
            is_valid_image(frame) and getattr(frame, "ndim", 3) < DIMENSIONS for frame in given
        )
    return getattr(given, "ndim", 0) == DIMENSIONS
