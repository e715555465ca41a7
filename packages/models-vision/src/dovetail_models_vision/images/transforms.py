"""The field's functions on single pictures: arrays of either layout in, arrays out.

They are `exact`'s with arguments for the layouts: `data_format` is the result's (None: as it came),
`input_data_format` the image's (None: it is inferred).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dovetail.errors import ProcessorError
from dovetail.tokenizers.strategies import ExplicitEnum
from dovetail_models_vision.images import exact
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    PILImageResampling,
    is_pil_image,
    layout_of,
    to_channel_dimension_format,
    to_numpy_array,
)


class PaddingMode(ExplicitEnum):
    """What margins are filled with."""

    CONSTANT = "constant"
    REFLECT = "reflect"
    REPLICATE = "replicate"
    SYMMETRIC = "symmetric"


def to_pil_image(
    image: Any,
    do_rescale: bool | None = None,
    image_mode: str | None = None,
    input_data_format: str | None = None,
) -> Image.Image:
    """An array or tensor as a PIL image; `do_rescale` (None: for values within 0 and 1) multiplies
    by 255."""
    if is_pil_image(image):
        return image
    first = exact.from_input(image, input_data_format)
    if exact.needs_scaling(first) if do_rescale is None else do_rescale:
        first = exact.rescale(first, 255)
    made = exact.pil_image(np.ascontiguousarray(first.transpose(1, 2, 0)).astype(np.uint8))
    return made if image_mode is None or made.mode == image_mode else made.convert(image_mode)


def convert_to_rgb(image: Any) -> Any:
    """A PIL image as RGB; anything else as it is."""
    return image.convert("RGB") if is_pil_image(image) else image


def resize(
    image: Any,
    size: tuple[int, int],
    resample: int | None = None,
    reducing_gap: float | None = None,
    data_format: str | None = None,
    return_numpy: bool = True,
    input_data_format: str | None = None,
) -> Any:
    """The image at `size` (height, width) by one of PIL's filters, bilinear by default; a PIL image
    with ``return_numpy=False``."""
    if len(size) != 2:
        raise ProcessorError(f"size={size!r}: give (height, width).")
    layout = _layout(image, input_data_format)
    filtered = PILImageResampling.BILINEAR if resample is None else resample
    resized = exact.resize(
        exact.from_input(image, layout), (size[0], size[1]), filtered, reducing_gap
    )
    if not return_numpy:
        return to_pil_image(resized, input_data_format=ChannelDimension.FIRST)
    return _as(resized, data_format or layout)


def rescale(
    image: np.ndarray,
    scale: float,
    data_format: str | None = None,
    dtype: Any = np.float32,
    input_data_format: str | None = None,
) -> np.ndarray:
    """The image times `scale`."""
    scaled = exact.rescale(image, scale, dtype)
    if data_format is None:
        return scaled
    return to_channel_dimension_format(scaled, data_format, input_data_format)


def normalize(
    image: np.ndarray,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    data_format: str | None = None,
    input_data_format: str | None = None,
) -> np.ndarray:
    """(image - mean) / std, with one number for each channel or for all."""
    layout = layout_of(image, input_data_format)
    first = exact.from_input(image, layout)
    for name, values in (("mean", mean), ("std", std)):
        if isinstance(values, Iterable) and len(list(values)) != len(first):
            raise ProcessorError(f"{name}={values!r}: the image has {len(first)} channels.")
    return _as(
        exact.normalize(first, np.ravel(mean).tolist(), np.ravel(std).tolist()),
        data_format or layout,
    )


def center_crop(
    image: np.ndarray,
    size: tuple[int, int],
    data_format: str | None = None,
    input_data_format: str | None = None,
    return_numpy: bool | None = None,
) -> np.ndarray:
    """The middle (height, width) of the image; a smaller one gets a border of zeros."""
    if len(size) != 2:
        raise ProcessorError(f"size={size!r}: give (height, width).")
    layout = layout_of(image, input_data_format)
    cropped = exact.center_crop(exact.from_input(image, layout), (size[0], size[1]))
    return _as(cropped, data_format or layout)


def pad(
    image: np.ndarray,
    padding: int | tuple[int, int] | Iterable[tuple[int, int]],
    mode: str = PaddingMode.CONSTANT,
    constant_values: float | Iterable[float] = 0.0,
    data_format: str | None = None,
    input_data_format: str | None = None,
) -> np.ndarray:
    """The image with margins: one number for all sides, (before, after) for both axes, or
    ((above, below), (left, right))."""
    layout = layout_of(image, input_data_format)
    margins = np.broadcast_to(np.asarray(padding), (2, 2)).tolist()
    around = (tuple(margins[0]), tuple(margins[1]))
    padded = exact.pad(exact.from_input(image, layout), around, mode, constant_values)
    return _as(padded, data_format or layout)


def flip_channel_order(
    image: np.ndarray, data_format: str | None = None, input_data_format: str | None = None
) -> np.ndarray:
    """RGB as BGR and back."""
    layout = layout_of(image, input_data_format)
    return _as(exact.from_input(image, layout)[::-1], data_format or layout)


def _layout(image: Any, input_data_format: str | None) -> str:
    if is_pil_image(image):
        return ChannelDimension.LAST
    return layout_of(to_numpy_array(image), input_data_format)


def _as(first: np.ndarray, layout: str) -> np.ndarray:
    return to_channel_dimension_format(first, layout, ChannelDimension.FIRST)
