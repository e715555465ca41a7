"""LLaVA-NeXT's pictures: the whole at the size of a tile, and the tiles of a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.clip.image_processing import CLIPImageProcessor
from dovetail_models_vision.images.formats import ChannelDimension, make_flat_list_of_images
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.llava_next.configuration import PIN_POINTS
from dovetail_models_vision.llava_next.tiles import Size, best_size, fitted


class LlavaNextImageProcessor(CLIPImageProcessor):
    """Fits pictures into the best of `image_grid_pinpoints` and cuts tiles of ``crop_size``; each
    tile, behind the whole picture, is prepared as CLIP does."""

    image_grid_pinpoints: Sequence[Sequence[int]] = [list(point) for point in PIN_POINTS]
    do_pad = True

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, tiles, C, H, W), with zeros in place of tiles that a picture lacks
        (with `do_pad`), and ``image_sizes`` (B, 2), the heights and widths of the pictures."""
        settings = self.settings(overrides)
        pictures = [
            self.read(picture, input_data_format, index)
            for index, picture in enumerate(make_flat_list_of_images(images))
        ]
        cut = [self.tiles(picture, settings) for picture in pictures]
        sized = [self.sized(tile, settings) for tiles in cut for tile in tiles]
        prepared = iter(self.finished(sized, settings))
        rows = [[next(prepared) for _ in tiles] for tiles in cut]
        sizes = [[picture.shape[1], picture.shape[2]] for picture in pictures]
        pixels = together(rows) if settings.do_pad else [together([row])[0] for row in rows]
        made = self.output({"pixel_values": pixels}, return_tensors, data_format)
        made["image_sizes"] = sizes
        return made.convert_to_tensors(return_tensors)

    def tiles(self, image: Any, settings: Settings) -> list[Any]:
        """The whole picture as a square, and the tiles, row by row."""
        ops, wanted = self.ops(), settings.size
        edge = wanted.get("shortest_edge")
        square = (edge, edge) if edge else (wanted["height"], wanted["width"])
        whole = ops.resize(image, square, settings.resample)
        points = settings.image_grid_pinpoints
        if not points:
            raise ProcessorError(
                f"{type(self).__name__}: image_grid_pinpoints={points!r}: give at least one pair "
                "of height and width."
            )
        size = (image.shape[1], image.shape[2])
        target = best_size(size, points)
        image = ops.resize(image, fitted(size, target), settings.resample)
        return [whole, *squares(centred(ops, image, target), settings.crop_size["height"])]


def centred(ops: Any, image: Any, target: Size) -> Any:
    """The image (C, H, W) between borders of equal width, which may lack one pixel to `target`."""
    rows, columns = ((target[axis] - image.shape[axis + 1]) // 2 for axis in (0, 1))
    return ops.pad(image, ((rows, rows), (columns, columns)))


def squares(image: Any, edge: int) -> list[Any]:
    """Squares of an image (C, H, W), row by row; the last of a row or column may be smaller."""
    return [
        image[:, top : top + edge, left : left + edge]
        for top in range(0, image.shape[1], edge)
        for left in range(0, image.shape[2], edge)
    ]


def together(rows: Sequence[Sequence[Any]]) -> Any:
    """Tiles (C, H, W) of each picture as one batch, with zeros where a picture has fewer."""
    most, shape = max(map(len, rows)), tuple(rows[0][0].shape)
    if isinstance(rows[0][0], np.ndarray):
        pixels: Any = np.zeros((len(rows), most, *shape), rows[0][0].dtype)
    else:
        pixels = rows[0][0].new_zeros((len(rows), most, *shape))
    for index, row in enumerate(rows):
        for place, tile in enumerate(row):
            pixels[index, place] = tile
    return pixels
