"""The base of image processors, and the arithmetic on arrays that all of them share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.processors.features import BatchFeature
from dovetail.processors.preprocessor import Preprocessor

CHANNELS = (1, 3)
"""Numbers of channels by which the axis of channels is recognised."""


class ImageProcessingMixin(Preprocessor):
    """Base of everything that prepares images."""

    _type_key = "image_processor_type"

    @classmethod
    def get_image_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings in the file, and the arguments that were not used to find it."""
        return cls._settings(pretrained_model_name_or_path, **kwargs)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make one from settings; `kwargs` replace those it has. Old files call the class a
        feature extractor."""
        renamed = {
            name: value for name, value in settings.items() if name != "feature_extractor_type"
        }
        return super().from_dict(renamed, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "AutoImageProcessor") -> None:
        """Mark a class of your own as one that the auto class is to find."""
        cls._auto_class = auto_class if isinstance(auto_class, str) else auto_class.__name__


class BaseImageProcessor(ImageProcessingMixin):
    """Base of image processors: calling one is `preprocess`, which a subclass writes.

    Images are arrays (C, height, width) or (height, width, C); `input_data_format` says which
    (``"channels_first"`` or ``"channels_last"``), otherwise the axis of 1 or 3 channels is
    looked for.
    """

    model_input_names: list[str] = ["pixel_values"]  # noqa: RUF012

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        """The model's inputs for one image or several."""
        return self.preprocess(images, **kwargs)

    def preprocess(self, images: Any, **kwargs: Any) -> BatchFeature:
        """The model's inputs for one image or several, with `kwargs` in place of the settings."""
        raise ProcessorError(
            f"{type(self).__name__} does not say how to prepare images: write its `preprocess`."
        )

    def rescale(
        self,
        image: np.ndarray,
        scale: float,
        data_format: str | None = None,
        input_data_format: str | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """The image times `scale`, as float32."""
        scaled = (image.astype(np.float64) * scale).astype(np.float32)
        return to_format(scaled, data_format, input_data_format)

    def normalize(
        self,
        image: np.ndarray,
        mean: float | Iterable[float],
        std: float | Iterable[float],
        data_format: str | None = None,
        input_data_format: str | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """(image - mean) / std, with one mean and one deviation per channel or for all."""
        layout = input_data_format or channel_format(image)
        shape = (-1, 1, 1) if layout == "channels_first" else (-1,)
        if not np.issubdtype(image.dtype, np.floating):
            image = image.astype(np.float32)
        centre, spread = (np.asarray(v, dtype=image.dtype).reshape(shape) for v in (mean, std))
        return to_format((image - centre) / spread, data_format, layout)

    def center_crop(
        self,
        image: np.ndarray,
        size: Mapping[str, int],
        data_format: str | None = None,
        input_data_format: str | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """The middle ``size["height"]`` by ``size["width"]`` pixels; a smaller image gets a border
        of zeros."""
        if not {"height", "width"} <= set(size):
            raise ProcessorError(
                f"size={dict(size)!r}: a crop needs the keys 'height' and 'width'."
            )
        layout = input_data_format or channel_format(image)
        first = to_format(image, "channels_first", layout)
        for axis, wanted in ((1, size["height"]), (2, size["width"])):
            first = _fit_axis(first, axis, wanted)
        return to_format(first, data_format or layout, "channels_first")


def channel_format(image: np.ndarray) -> str:
    """``"channels_first"`` or ``"channels_last"``, told by which axis is as long as there can be
    channels."""
    if image.ndim == 3 and image.shape[0] in CHANNELS:
        return "channels_first"
    if image.ndim == 3 and image.shape[2] in CHANNELS:
        return "channels_last"
    raise ProcessorError(
        f"An image of shape {image.shape} has no axis of 1 or 3 channels at its start or end: "
        "pass input_data_format."
    )


def to_format(
    image: np.ndarray, data_format: str | None, input_data_format: str | None
) -> np.ndarray:
    """The image with its channels where `data_format` says (None: where they are)."""
    if data_format is None:
        return image
    layout = input_data_format or channel_format(image)
    if layout == data_format:
        return image
    return image.transpose(2, 0, 1) if data_format == "channels_first" else image.transpose(1, 2, 0)


def _fit_axis(image: np.ndarray, axis: int, wanted: int) -> np.ndarray:
    """The middle of `image` along `axis`, or `image` in the middle of zeros."""
    length = image.shape[axis]
    if length >= wanted:
        start = (length - wanted) // 2
        return image.take(range(start, start + wanted), axis=axis)
    before = -(-(wanted - length) // 2)
    widths = [(0, 0)] * image.ndim
    widths[axis] = (before, wanted - length - before)
    return np.pad(image, widths)
