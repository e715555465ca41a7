"""Qwen2-VL's pictures: patches of images and videos of any size, in one row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ChannelDimension,
    PILImageResampling,
    make_flat_list_of_images,
)
from dovetail_models_vision.images.processor import ImageProcessor, Settings
from dovetail_models_vision.videos.formats import list_of_videos

MOST_ASPECT = 200
"""How many times longer than high, or the reverse, a picture may be."""

PATCH_ORDER = (0, 3, 6, 4, 7, 2, 1, 5, 8)
"""From (time, frame, channel, block row, row, y, block column, column, x) to time, block row, block
column, row, column (the patches) and channel, frame, y, x (in each)."""


class Qwen2VLImageProcessor(ImageProcessor):
    """Resizes to the nearest multiples of a block of patches, within an area, and cuts.

    `min_pixels` and `max_pixels` bound the area; a block is `merge_size` patches of `patch_size`
    pixels squared; a patch is `temporal_patch_size` frames deep, for which an image stands still.
    """

    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    do_convert_rgb = True
    min_pixels = 56 * 56
    max_pixels = 28 * 28 * 1280
    patch_size = 14
    temporal_patch_size = 2
    merge_size = 2
    model_input_names = [
        "pixel_values",
        "image_grid_thw",
        "pixel_values_videos",
        "video_grid_thw",
    ]

    def __init__(self, size: Mapping[str, int] | None = None, **kwargs: Any) -> None:
        size = size or {}
        for name, edge in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
            if kwargs.get(name) is None:  # later files hold areas in `size`, under either name
                kwargs[name] = size.get(name, size.get(edge))
        super().__init__(**kwargs)
        self.size = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}

    def preprocess(
        self,
        images: Any = None,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        videos: Any = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (N, C * frames * patch * patch), the patches of all images one after the
        other, and ``image_grid_thw`` (images, 3), how many along time, height and width each has;
        for `videos` ``pixel_values_videos`` and ``video_grid_thw``.

        Raises:
            ProcessorError: there is no picture, one is damaged or too narrow, or a setting cannot
                be.
        """
        settings = self.settings(overrides)
        data: dict[str, Any] = {}
        if images is not None:
            stills = [[image] for image in make_flat_list_of_images(images)]
            pixels, data["image_grid_thw"] = self.rows(stills, settings, input_data_format)
            data = {"pixel_values": pixels, **data}
        if videos is not None:
            clips = list_of_videos(videos)
            pixels, grids = self.rows(clips, settings, input_data_format)
            data |= {"pixel_values_videos": pixels, "video_grid_thw": grids}
        if not data:
            raise ProcessorError(f"{type(self).__name__} needs images or videos; got neither.")
        return BatchFeature(data, tensor_type=return_tensors)

    def rows(
        self, clips: Sequence[Sequence[Any]], settings: Settings, layout: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """All patches of pictures that are lists of frames, and their grids."""
        made = [self.cut(self.prepare(frames, settings, layout), settings) for frames in clips]
        return np.concatenate([patches for patches, _ in made]), np.array([g for _, g in made])

    def cut(self, frames: Any, settings: Settings) -> tuple[np.ndarray, tuple[int, int, int]]:
        """The patches (N, C * frames * patch * patch) of frames (T, C, H, W), and how many there
        are along time, height and width. The last frame goes on where one is missing."""
        if len({tuple(frame.shape) for frame in frames}) > 1:
            raise ProcessorError("videos: the frames of one video differ in size or channels.")
        frames = np.asarray(frames) if hasattr(frames, "shape") else np.stack(list(frames))
        patch, merge, depth = settings.patch_size, settings.merge_size, settings.temporal_patch_size
        missing = -len(frames) % depth
        if missing:
            frames = np.concatenate((frames, frames[-1:].repeat(missing, 0)))
        _, channels, height, width = frames.shape
        if height % (patch * merge) or width % (patch * merge):
            raise ProcessorError(
                f"images: {height} by {width} pixels are not whole blocks of {patch * merge}. "
                "Leave do_resize on, or resize before."
            )
        grid = (len(frames) // depth, height // patch, width // patch)
        blocks = (merge, patch)
        shape = (grid[0], depth, channels, grid[1] // merge, *blocks, grid[2] // merge, *blocks)
        moved = frames.reshape(shape).transpose(PATCH_ORDER)
        return moved.reshape(math.prod(grid), channels * depth * patch * patch), grid

    def output_size(self, size: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """Whole blocks, as near to `size` (height, width) as the area allows."""
        block = settings.patch_size * settings.merge_size
        return smart_resize(*size, block, settings.min_pixels, settings.max_pixels)

    def _checked(self, name: str, value: Any) -> Any:
        return value if name == "size" else super()._checked(name, value)


def smart_resize(
    height: int,
    width: int,
    factor: int = 28,
    min_pixels: int = 56 * 56,
    max_pixels: int = 14 * 14 * 4 * 1280,
) -> tuple[int, int]:
    """Height and width as the nearest multiples of `factor`, shrunk or grown together until the
    area is within `min_pixels` and `max_pixels`.

    Raises:
        ProcessorError: the picture is smaller than `factor`, or very narrow.
    """
    if min(height, width) < factor:
        raise ProcessorError(
            f"images: {height} by {width} pixels; both must be at least {factor}. Enlarge the "
            "picture before."
        )
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise ProcessorError(
            f"images: {height} by {width} pixels: one edge may be at most {MOST_ASPECT} times as "
            "long as the other."
        )
    rows, columns = round(height / factor), round(width / factor)
    if rows * columns * factor**2 > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows = max(math.floor(height / shrink / factor), 1)
        columns = max(math.floor(width / shrink / factor), 1)
    elif rows * columns * factor**2 < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, columns = math.ceil(height * grow / factor), math.ceil(width * grow / factor)
    return rows * factor, columns * factor
