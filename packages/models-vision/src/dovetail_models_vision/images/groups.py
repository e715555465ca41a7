"""Several pictures for each text: prepared one by one, kept together by their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    is_pil_image,
    make_list_of_images,
)
from dovetail_models_vision.images.loading import to_rgb
from dovetail_models_vision.images.processor import ImageProcessor, Settings

Groups = list[list[Any]]
"""For each text its pictures."""
Size = tuple[int, int]
"""Height and width."""


def groups_of_images(images: Any) -> Groups:
    """One picture, the pictures of one text, or a list of them for each text, which may be empty.

    Raises:
        ProcessorError: there is no picture at all, or something that is none.
    """
    nested = isinstance(images, list | tuple) and any(isinstance(x, list | tuple) for x in images)
    if not nested:
        return [make_list_of_images(images)]
    if not any(images):
        raise ProcessorError("images: no text has any; pass at least one image.")
    if not all(isinstance(group, list | tuple) for group in images):
        raise ProcessorError(
            "images: some items are lists and others are not. Pass a list for each text."
        )
    return [make_list_of_images(group) if group else [] for group in images]


def grouped(images: Any, counts: Sequence[int]) -> Any:
    """Images in lists, one for each text. Those of several texts in one list are shared out where
    it holds as many as the texts have tokens for, `counts`.

    Raises:
        ProcessorError: something is no picture.
    """
    groups = groups_of_images(images)
    if len(groups) == 1 < len(counts) and len(groups[0]) == sum(counts):
        following = iter(groups[0])
        return [[next(following) for _ in range(count)] for count in counts]
    return groups


def on_white(image: Image.Image, what: str = "image") -> Image.Image:
    """RGB of 8 bits; what is transparent shows white."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255)), image)
    return to_rgb(image, what)


class GroupedImageProcessor(ImageProcessor):
    """Base of processors that take a list of pictures for each text.

    A family cuts a picture into `pieces`. The setting `do_pad`, where a family has it, makes one
    batch of them, with zeros below and to the right of smaller pieces and in place of those that a
    text lacks.
    """

    do_convert_rgb = True

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, N, C, H, W) of at most N pieces for each of B texts and, if they are
        padded, ``pixel_attention_mask`` (B, N, H, W), 1 at pixels of a picture.

        `images` is a list for each text; one picture or a list of them are those of one text.
        """
        settings = self.settings(overrides)
        groups = [
            [self.read(picture, input_data_format, index) for picture in group]
            for index, group in enumerate(groups_of_images(images))
        ]
        cut = [[self.pieces(picture, settings) for picture in group] for group in groups]
        flat = [piece for group in cut for pieces in group for piece in pieces]
        finished = iter(self.finished(flat, settings))
        rows = [[next(finished) for pieces in group for _ in pieces] for group in cut]
        made = self.output(self.batch(rows, settings), return_tensors, data_format)
        sizes = [[(picture.shape[1], picture.shape[2]) for picture in group] for group in groups]
        made.update(self.described(sizes, settings))
        return made

    def pieces(self, image: Any, settings: Settings) -> list[Any]:
        """What the model sees of an image (C, H, W)."""
        return [self.sized(image, settings)]

    def described(self, sizes: list[list[Size]], settings: Settings) -> dict[str, Any]:
        """What a family says of each text's pictures, whose `sizes` are (height, width)."""
        return {}

    def batch(self, pixels: Groups, settings: Settings) -> dict[str, Any]:
        """The pieces of each text, padded or as they are."""
        if getattr(settings, "do_pad", False):
            return padded(pixels)
        shapes = {tuple(piece.shape) for piece in _all(pixels)}
        alike = len(shapes) == len(set(map(len, pixels))) == 1
        return {"pixel_values": padded(pixels)["pixel_values"] if alike else pixels}

    def read(self, picture: Any, layout: str | None = None, index: int = 0) -> Any:
        """An image of any type as an array (C, H, W), transparent parts white."""
        if is_pil_image(picture):
            picture = on_white(picture, f"images[{index}]")
        return super().read(picture, layout, index)


def padded(groups: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Pieces (C, H, W), arrays or tensors, as one batch with its mask."""
    first = next(_all(groups))
    height, width = (max(piece.shape[axis] for piece in _all(groups)) for axis in (1, 2))
    shape = (len(groups), max(map(len, groups)), height, width)
    batch_shape = (*shape[:2], len(first), *shape[2:])
    if isinstance(first, np.ndarray):
        pixels: Any = np.zeros(batch_shape, first.dtype)
        mask: Any = np.zeros(shape, np.int64)
    else:
        pixels = first.new_zeros(batch_shape)
        mask = first.new_zeros(shape, dtype=_int64())
    for row, group in enumerate(groups):
        for place, piece in enumerate(group):
            pixels[row, place, :, : piece.shape[1], : piece.shape[2]] = piece
            mask[row, place, : piece.shape[1], : piece.shape[2]] = 1
    return {"pixel_values": pixels, "pixel_attention_mask": mask}


def _int64() -> Any:
    import torch

    return torch.int64


def _all(groups: Sequence[Sequence[Any]]) -> Iterator[Any]:
    return (piece for group in groups for piece in group)
