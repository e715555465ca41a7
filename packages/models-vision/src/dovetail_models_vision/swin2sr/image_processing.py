"""Swin2SR's pictures: rescaled, and mirrored beyond the right and the bottom edge."""

from __future__ import annotations

from typing import Any

from dovetail.errors import ProcessorError
from dovetail_models_vision.images.processor import ImageProcessor, Settings

UNUSED = ("do_resize", "size", "resample", "do_normalize", "image_mean", "image_std")
"""Settings of other processors: pictures keep their size and their colours."""


class Swin2SRImageProcessor(ImageProcessor):
    """Height and width become the next larger multiples of `pad_size`, also where they are
    multiples."""

    do_resize = False
    do_normalize = False
    do_pad = True
    pad_size = 8

    def to_dict(self) -> dict[str, Any]:
        """The settings that are used."""
        return {k: v for k, v in super().to_dict().items() if k not in UNUSED}

    def _checked(self, name: str, value: Any) -> Any:
        if name != "pad_size":
            return super()._checked(name, value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ProcessorError(f"{type(self).__name__}: pad_size={value!r}: use a whole number.")
        return value

    def finished(self, images: Any, settings: Settings) -> Any:
        """Rescaled, and then mirrored."""
        done = super().finished(images, settings)
        if not settings.do_pad:
            return done
        return self.together([mirrored(image, settings.pad_size) for image in done])


def mirrored(image: Any, multiple: int) -> Any:
    """An image (C, H, W), continued to the next multiples by its own mirror image."""
    rows, columns = (beyond(length, multiple) for length in image.shape[1:])
    return image[:, rows][:, :, columns]


def beyond(length: int, multiple: int) -> list[int]:
    """Where each place of an edge comes from: those of a picture to and fro."""
    places = [index % (2 * length) for index in range((length // multiple + 1) * multiple)]
    return [min(place, 2 * length - 1 - place) for place in places]
