"""Llama 3.2 Vision's pictures: up to four square tiles, in the arrangement that fits best.

B texts, M pictures of each, N tiles of each picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    PILImageResampling,
    is_valid_image,
    make_list_of_images,
)
from dovetail_models_vision.images.processor import ImageProcessor, Settings

Grid = tuple[int, int]
"""Rows and columns of tiles."""


class MllamaImageProcessor(ImageProcessor):
    """Fits a picture into tiles of `size`, of which there are at most `max_image_tiles`, without
    changing its aspect; what is left of the tiles is black."""

    size = {"height": 224, "width": 224}
    resample = PILImageResampling.BILINEAR
    do_convert_rgb = True
    do_pad = True
    max_image_tiles = 4
    model_input_names = [
        "pixel_values",
        "num_tiles",
        "aspect_ratio_ids",
        "aspect_ratio_mask",
    ]

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        data_format: str | None = None,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, M, N, C, H, W) of the pictures of each text (a plain list is of one
        text), ``aspect_ratio_ids`` (B, M) and ``aspect_ratio_mask`` (B, M, N), which is 1 where
        there is a tile; ``num_tiles`` lists how many each has.

        Raises:
            ProcessorError: something is no image, or a setting cannot be.
        """
        settings = self.settings(overrides)
        batch = pictures_of_texts(images)
        pictures = [picture for text in batch for picture in text]
        read = [self.read(one, input_data_format, index) for index, one in enumerate(pictures)]
        grids = [self.grid(tuple(image.shape[1:]), settings) for image in read]
        side = settings.size["height"]
        padded = [
            self.fitted(image, (rows * side, columns * side), settings)
            for image, (rows, columns) in zip(read, grids, strict=True)
        ]
        finished = [np.asarray(image) for image in self.finished(padded, settings)]
        places = [(row, place) for row, text in enumerate(batch) for place in range(len(text))]
        data = packed(finished, grids, places, len(batch), settings)
        counts: list[list[int]] = [[] for _ in batch]
        for (row, _), grid in zip(places, grids, strict=True):
            counts[row].append(math.prod(grid))
        made = BatchFeature(data, tensor_type=return_tensors)
        made["num_tiles"] = counts
        return made

    def grid(self, size: tuple[int, int], settings: Settings) -> Grid:
        """The rows and columns of tiles for a picture of (height, width): those that enlarge it
        least or, where all make it smaller, shrink it least; of several the fewest."""
        side = settings.size["height"]

        def merit(grid: Grid) -> tuple[bool, float, int]:
            scale = min(grid[0] * side / size[0], grid[1] * side / size[1])
            return scale < 1, scale if scale >= 1 else -scale, math.prod(grid)

        return min(get_all_supported_aspect_ratios(settings.max_image_tiles), key=merit)

    def fitted(self, image: Any, canvas: tuple[int, int], settings: Settings) -> Any:
        """The picture in the corner of a canvas, with its own aspect."""
        size, side = tuple(image.shape[1:]), settings.size["height"]
        target = fitted_size(size, canvas, side)
        ops = self.ops()
        resized = ops.resize(image, target, settings.resample)
        return ops.pad(resized, ((0, canvas[0] - target[0]), (0, canvas[1] - target[1])))

    def settings(self, overrides: Any) -> Settings:
        """As everywhere; without tiles nothing can be made."""
        merged = super().settings(overrides)
        for name in ("do_resize", "do_pad"):
            if not getattr(merged, name):
                raise ProcessorError(
                    f"{type(self).__name__}: {name}=False: pictures must fill whole tiles."
                )
        if not isinstance(merged.max_image_tiles, int) or merged.max_image_tiles < 1:
            raise ProcessorError(
                f"{type(self).__name__}: max_image_tiles={merged.max_image_tiles!r} must be a "
                "whole number, at least 1."
            )
        if merged.size.get("height") is None or merged.size["height"] != merged.size.get("width"):
            raise ProcessorError(
                f"{type(self).__name__}: size={dict(merged.size)}: tiles are squares, so give an "
                "equal 'height' and 'width'."
            )
        return merged


def get_all_supported_aspect_ratios(max_image_tiles: int) -> list[Grid]:
    """All rows and columns of at most `max_image_tiles` tiles, in the order of their numbers."""
    sides = range(1, max_image_tiles + 1)
    return [(rows, columns) for rows in sides for columns in sides if rows * columns in sides]


def fitted_size(size: tuple[int, int], canvas: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width of a picture of `size` that just fits a `canvas`; one that is smaller is
    enlarged to a tile's `side` at most."""
    target = [min(max(edge, side), room) for edge, room in zip(size, canvas, strict=True)]
    scales = [wanted / edge for wanted, edge in zip(target, size, strict=True)]
    across = scales[1] < scales[0]  # the width decides
    height = min(math.floor(size[0] * scales[1]) or 1, target[0]) if across else target[0]
    width = target[1] if across else min(math.floor(size[1] * scales[0]) or 1, target[1])
    return height, width


def packed(
    images: Sequence[np.ndarray],
    grids: Sequence[Grid],
    places: Sequence[tuple[int, int]],
    rows: int,
    settings: Settings,
) -> dict[str, np.ndarray]:
    """The model's inputs from canvases of tiles, each at its place (text, number)."""
    tiles, side = settings.max_image_tiles, settings.size["height"]
    shape = (rows, max(place for _, place in places) + 1, tiles)
    pixels = np.zeros((*shape, len(images[0]), side, side), np.float32)
    ids = np.zeros(shape[:2], np.int64)
    mask = np.zeros(shape, np.int64)
    mask[:, :, 0] = 1  # pictures that are not there have one tile, which is black
    known = get_all_supported_aspect_ratios(tiles)
    for image, grid, place in zip(images, grids, places, strict=True):
        parts = image.reshape(len(image), grid[0], side, grid[1], side).transpose(1, 3, 0, 2, 4)
        count = math.prod(grid)
        pixels[place][:count] = parts.reshape(count, *pixels.shape[3:])
        ids[place] = known.index(grid) + 1
        mask[place][:count] = 1
    return {"pixel_values": pixels, "aspect_ratio_ids": ids, "aspect_ratio_mask": mask}


def pictures_of_texts(images: Any) -> list[list[Any]]:
    """One picture, several of one text, or a list of such lists, as the latter.

    Raises:
        ProcessorError: there is none, or something is no image.
    """
    if not isinstance(images, list | tuple) or all(map(is_valid_image, images)):
        return [make_list_of_images(images)]
    texts = [list(text) if isinstance(text, list | tuple) else [text] for text in images]
    if not any(texts):
        raise ProcessorError("images: the lists are empty; pass at least one image.")
    for text in texts:
        if text:
            make_list_of_images(text)
    return texts
