"""Idefics3's pictures: enlarged, cut into tiles of one size, and followed by the whole picture at
that size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dovetail import BatchFeature
from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.groups import GroupedImageProcessor, Size
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.images.sizes import get_size_dict, within_edge

LARGEST = 4096
"""No edge is made longer than so many pixels."""


class Idefics3ImageProcessor(GroupedImageProcessor):
    """The longer edge becomes ``size["longest_edge"]`` and, with `do_image_splitting`, both edges
    whole multiples of ``max_image_size["longest_edge"]``, the edge of a tile; without it, a picture
    is one square of that edge."""

    size = {"longest_edge": 4 * 364}
    resample = PILImageResampling.LANCZOS
    do_image_splitting = True
    do_pad = True
    max_image_size: Mapping[str, int] = {"longest_edge": 364}

    def _checked(self, name: str, value: Any) -> Any:
        if name == "max_image_size":
            if isinstance(value, int):
                value = {"longest_edge": value}
            return get_size_dict(value, default_to_square=False, param_name=name)
        return super()._checked(name, value)

    def preprocess(
        self, images: Any, *args: Any, return_row_col_info: bool = False, **kwargs: Any
    ) -> BatchFeature:
        """As every processor of several pictures for each text; `return_row_col_info` adds ``rows``
        and ``cols``, for each text those of each picture's tiles, 0 where it is not cut."""
        made = super().preprocess(images, *args, **kwargs)
        if not return_row_col_info:
            del made["rows"], made["cols"]
        return made

    def described(self, sizes: list[list[Size]], settings: Settings) -> dict[str, Any]:
        """``rows`` and ``cols`` of tiles."""
        grids = [[self.plan(size, settings)[1] for size in group] for group in sizes]
        return {
            "rows": [[rows for rows, _ in group] for group in grids],
            "cols": [[columns for _, columns in group] for group in grids],
        }

    def plan(self, size: Size, settings: Settings) -> tuple[list[Size], Size]:
        """The sizes that a picture of `size` takes on, and its rows and columns of tiles, 0 where
        it is not cut."""
        steps = []
        if settings.do_resize:
            steps.append(self.output_size(size, settings))
        edge = settings.max_image_size["longest_edge"]
        if not settings.do_image_splitting:
            return [*steps, (edge, edge)], (0, 0)
        steps.append(whole_tiles(steps[-1] if steps else size, edge))
        height, width = steps[-1]
        rows, columns = height // edge, width // edge
        return steps, (rows, columns) if max(rows, columns) > 1 else (0, 0)

    def output_size(self, size: Size, settings: Settings) -> Size:
        """(height, width), the longer of which is ``size["longest_edge"]`` and the other even."""
        wanted = settings.size
        if "longest_edge" not in wanted:
            return super().output_size(size, settings)
        (height, width), longest = size, wanted["longest_edge"]
        aspect = width / height
        if width >= height:
            resized = even(int(longest / aspect)), longest
        else:
            resized = longest, even(int(longest * aspect))
        return within_edge(resized, LARGEST)

    def pieces(self, image: Any, settings: Settings) -> list[Any]:
        """Tiles row by row, and the whole picture behind them."""
        ops, edge = self.ops(), settings.max_image_size["longest_edge"]
        image = ops.shades(image)
        sizes, (rows, columns) = self.plan((image.shape[1], image.shape[2]), settings)
        for size in sizes:
            image = ops.resize(image, size, settings.resample)
        tiles = [
            image[:, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
            for row in range(rows)
            for column in range(columns)
        ]
        return [*tiles, ops.resize(image, (edge, edge), settings.resample)]


def even(length: int) -> int:
    """The length, rounded up to an even number of at least 1."""
    return max(length + length % 2, 1)


def whole_tiles(size: Size, edge: int) -> Size:
    """(height, width) rounded up to whole tiles: the longer edge first, and the other by the aspect
    that it had."""
    height, width = size
    aspect = width / height
    if width >= height:
        width = math.ceil(width / edge) * edge
        return math.ceil(int(width / aspect) / edge) * edge, width
    height = math.ceil(height / edge) * edge
    return height, math.ceil(int(height * aspect) / edge) * edge
