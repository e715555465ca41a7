"""Transforms on numpy arrays (C, H, W) with PIL's own filters: the reference to the bit.

`fast` has the same functions on torch tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    is_pil_image,
    layout_of,
    to_numpy_array,
)

Margins = tuple[tuple[int, int], tuple[int, int]]
"""((above, below), (left, right))."""

PADDING_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "symmetric": "symmetric",
}
"""The field's names of numpy's modes."""


def from_input(image: Any, input_data_format: str | None = None) -> np.ndarray:
    """Any image as an array (C, H, W)."""
    array = to_numpy_array(image)
    if is_pil_image(image):
        return array.transpose(2, 0, 1) if array.ndim == 3 else array[None]
    first = layout_of(array, input_data_format) is ChannelDimension.FIRST
    return array if first else array.transpose(2, 0, 1)


def resize(
    image: np.ndarray, size: tuple[int, int], resample: int, reducing_gap: float | None = None
) -> np.ndarray:
    """The image at `size`, as uint8, or as float32 where values were within 0 and 1."""
    scaled = needs_scaling(image)
    picture = pil_image(np.ascontiguousarray(shades(image).transpose(1, 2, 0)))
    resized = picture.resize(size[::-1], resample=resample, reducing_gap=reducing_gap)
    # PIL parts channels faster than a transposed array is read later.
    first = np.stack([np.asarray(band) for band in resized.split()])
    return rescale(first, 1 / 255) if scaled else first


def pil_image(array: np.ndarray) -> Image.Image:
    """A PIL image of uint8 values (H, W, C) or (H, W)."""
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3 and array.shape[-1] not in (2, 3, 4):
        raise ProcessorError(
            f"An array of shape {array.shape} cannot become a picture: give it 1 to 4 channels."
        )
    return Image.fromarray(array)


def shades(image: np.ndarray) -> np.ndarray:
    """The image as bytes; shares of 1 become 0..255."""
    return (image * 255 if needs_scaling(image) else image).astype(np.uint8)


def needs_scaling(image: np.ndarray) -> bool:
    """Whether the values are shares of 1, which PIL must get as 0..255.

    Raises:
        ProcessorError: they are neither shares nor bytes.
    """
    if image.dtype == np.uint8:
        return False
    low, high = (image.min(), image.max()) if image.size else (0, 0)
    whole = np.issubdtype(image.dtype, np.integer) or bool(np.allclose(image, np.trunc(image)))
    if whole and low >= 0 and high <= 255:
        return False
    if not whole and low >= 0 and high <= 1:
        return True
    raise ProcessorError(
        f"images: values from {low} to {high} ({image.dtype}) cannot be resized as a picture: they "
        "must be whole numbers within 0..255 or fractions within 0..1."
    )


def rescale(image: np.ndarray, scale: float, dtype: Any = np.float32) -> np.ndarray:
    """The image times `scale`."""
    return (image.astype(np.float64) * scale).astype(dtype)


def normalize(image: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """(image - mean) / std by channel."""
    if not np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    centre, spread = (np.asarray(v, dtype=image.dtype).reshape(-1, 1, 1) for v in (mean, std))
    return (image - centre) / spread


def finish(
    image: np.ndarray,
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> np.ndarray:
    """Rescaled and normalized, as far as given. Bytes are looked up in a table of their 256 values,
    which gives the same numbers."""
    if scale is None and mean is None:
        return image
    if image.dtype == np.uint8 and image.size > 2**12:
        shades = np.tile(np.arange(256, dtype=np.uint8), (len(image), 1))[:, None]
        table = finish(shades, scale, mean, std)[:, 0]
        return np.stack([np.take(row, channel) for row, channel in zip(table, image, strict=True)])
    if scale is not None:
        image = rescale(image, scale)
    return image if mean is None or std is None else normalize(image, mean, std)


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of the image; a smaller one gets a border of zeros."""
    margins = crop_margins(image.shape[1:], size)
    image = pad(image, tuple((max(a, 0), max(b, 0)) for a, b in margins))  # type: ignore[arg-type]
    (top, _), (left, _) = ((max(-a, 0), b) for a, b in margins)
    return image[:, top : top + size[0], left : left + size[1]]


def crop_margins(shape: Sequence[int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """What to add (or, negative, to cut) before and after each axis to centre it."""
    margins = []
    for length, wanted in zip(shape, size, strict=True):
        missing = wanted - length
        # Odd rests: a cut takes more from the end, a border puts more at the start.
        before = -(-missing // 2)
        margins.append((before, missing - before))
    return margins


def pad(image: np.ndarray, margins: Margins, mode: str = "constant", value: Any = 0) -> np.ndarray:
    """The image with margins; `value` is a number, or one for each channel."""
    if not any(any(pair) for pair in margins):
        return image
    name = padding_mode(mode)
    if name != "constant":
        return np.pad(image, ((0, 0), *margins), mode=name)  # type: ignore[call-overload]
    padded = np.pad(image, ((0, 0), *margins))
    if np.any(value):
        inside = np.pad(np.ones(image.shape[1:], dtype=bool), margins)
        fill = np.broadcast_to(np.asarray(value, dtype=image.dtype).reshape(-1, 1), (len(image), 1))
        padded[:, ~inside] = fill
    return padded


def padding_mode(mode: str) -> str:
    """Numpy's name of a mode.

    Raises:
        ProcessorError: there is none.
    """
    name = PADDING_MODES.get(str(mode))
    if name is None:
        raise ProcessorError(f"mode={mode!r}: use one of {', '.join(PADDING_MODES)}.")
    return name


def finish_all(
    images: Sequence[np.ndarray],
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> list[np.ndarray]:
    """`finish` for each."""
    return [finish(image, scale, mean, std) for image in images]
