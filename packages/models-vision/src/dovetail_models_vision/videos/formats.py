"""Videos of all forms as lists of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import is_valid_image, make_list_of_images

VideoInput = Any
"""One video or several: a video is a list of frames (PIL images or arrays), or an array or tensor
(T, H, W, C) or (T, C, H, W); a batch is a list of them, or an array with one axis more."""


def is_valid_video(video: Any) -> bool:
    """Whether it is a list of frames, or an array of four axes."""
    if isinstance(video, list | tuple):
        return len(video) > 0 and are_frames(video)
    return is_valid_image(video) and getattr(video, "ndim", 0) == 4


def are_frames(items: Sequence[Any]) -> bool:
    """Whether all are single images."""
    return all(is_valid_image(item) and getattr(item, "ndim", 3) == 3 for item in items)


def list_of_videos(videos: VideoInput) -> list[list[Any]]:
    """One video, several, or a single frame, as a list of lists of frames.

    Raises:
        ProcessorError: there is no frame, or something that is none.
    """
    frames = are_frames(videos) if isinstance(videos, list | tuple) else is_valid_image(videos)
    if frames and getattr(videos, "ndim", 3) < 5:
        videos = [videos]
    if not isinstance(videos, list | tuple) and getattr(videos, "ndim", 0) != 5:
        raise ProcessorError(
            f"videos: a {type(videos).__name__} is no video. Pass lists of frames or arrays; read "
            "files with `load_video`."
        )
    empty = [i for i, video in enumerate(videos) if isinstance(video, list | tuple) and not video]
    if len(videos) == 0 or empty:
        what = f"videos[{empty[0]}] has" if len(videos) > 1 else "there are"
        raise ProcessorError(f"videos: {what} no frames; pass at least one.")
    return [make_list_of_images(video) for video in videos]


def stacked(clips: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Frames of one size as one array (T, ...) for each video."""
    return [np.stack(frames) for frames in clips]
