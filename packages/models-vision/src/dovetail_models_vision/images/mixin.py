"""The picture methods that feature extractors inherited before image processors came.

Kept for code that still calls them; `images.transforms` is what new code uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from dovetail_models_vision.images import exact, formats, sizes

SHADES = 255


class ImageFeatureExtractionMixin:
    """Methods on a picture: a PIL image, an array or a tensor, (C, H, W) or (H, W, C)."""

    def to_pil_image(self, image: Any, rescale: bool | None = None) -> Image.Image:
        """A PIL image; with `rescale`, by default for floats, values count from 0 to 1."""
        self._check(image)
        if isinstance(image, Image.Image):
            return image
        array = formats.to_numpy_array(image)
        rescale = np.issubdtype(array.dtype, np.floating) if rescale is None else rescale
        if array.ndim == 3 and array.shape[0] in (1, 3):
            array = array.transpose(1, 2, 0)
        shades = (array * SHADES if rescale else array).astype(np.uint8)
        return Image.fromarray(shades)

    def to_numpy_array(
        self, image: Any, rescale: bool | None = None, channel_first: bool = True
    ) -> np.ndarray:
        """An array; with `rescale`, by default for bytes, values become 0 to 1."""
        self._check(image)
        array = formats.to_numpy_array(image)
        rescale = np.issubdtype(array.dtype, np.integer) if rescale is None else rescale
        if rescale:
            array = array.astype(np.float32) * np.float32(1 / SHADES)
        return array.transpose(2, 0, 1) if channel_first and array.ndim == 3 else array

    def convert_rgb(self, image: Any) -> Any:
        """A PIL image in RGB; anything else as it is."""
        self._check(image)
        return image.convert("RGB") if isinstance(image, Image.Image) else image

    def rescale(self, image: np.ndarray, scale: float) -> np.ndarray:
        """``image * scale``."""
        self._check(image)
        return image * scale

    def expand_dims(self, image: Any) -> Any:
        """An array or tensor with an axis in front; a PIL image as it is."""
        self._check(image)
        return image if isinstance(image, Image.Image) else image[None]

    def normalize(self, image: Any, mean: Any, std: Any, rescale: bool = False) -> Any:
        """``(image - mean) / std`` for each channel; PIL images are rescaled to 0 to 1 first."""
        self._check(image)
        if isinstance(image, Image.Image):
            image = self.to_numpy_array(image, rescale=True)
        elif rescale:
            image = image / SHADES
        spread = (-1, 1, 1) if image.ndim == 3 and image.shape[0] in (1, 3) else (-1,)
        if isinstance(image, torch.Tensor):
            mean, std = (torch.as_tensor(v, dtype=image.dtype).view(spread) for v in (mean, std))
        else:
            mean, std = (np.asarray(v, dtype=image.dtype).reshape(spread) for v in (mean, std))
        return (image - mean) / std

    def resize(
        self,
        image: Any,
        size: Any,
        resample: int | None = None,
        default_to_square: bool = True,
        max_size: int | None = None,
    ) -> Image.Image:
        """A PIL image of `size`, (width, height) or one number.

        A number is both edges, or, unless `default_to_square`, the shorter one; the longer is then
        no longer than `max_size`.
        """
        picture = self.to_pil_image(image)
        edges = [size] if isinstance(size, int) else list(size)
        if len(edges) == 1 and default_to_square:
            edges *= 2
        if len(edges) == 1:
            array = np.asarray(picture)
            height, width = sizes.get_resize_output_image_size(
                array, edges[0], default_to_square=False, max_size=max_size
            )
            edges = [width, height]
        chosen = Image.Resampling.BILINEAR if resample is None else Image.Resampling(resample)
        return picture.resize((edges[0], edges[1]), chosen)

    def center_crop(self, image: Any, size: int | tuple[int, int]) -> Any:
        """The middle of `size`, a number or (height, width), (C, H, W), filled up with zeros; PIL
        images stay such."""
        self._check(image)
        height, width = (size, size) if isinstance(size, int) else size
        if isinstance(image, Image.Image):
            top, left = (image.height - height) // 2, (image.width - width) // 2
            return image.crop((left, top, left + width, top + height))
        array = formats.to_numpy_array(image)
        array = array if array.shape[0] in (1, 3) else array.transpose(2, 0, 1)
        cropped = exact.center_crop(array, (height, width))
        return torch.from_numpy(cropped) if isinstance(image, torch.Tensor) else cropped

    def flip_channel_order(self, image: Any) -> Any:
        """The channels of (C, H, W) in the other order; PIL images become arrays."""
        self._check(image)
        array = self.to_numpy_array(image) if isinstance(image, Image.Image) else image
        return array.flip(0) if isinstance(array, torch.Tensor) else array[::-1, :, :]

    def rotate(
        self,
        image: Any,
        angle: float,
        resample: int | None = None,
        expand: int = 0,
        center: tuple[float, float] | None = None,
        translate: tuple[int, int] | None = None,
        fillcolor: Any = None,
    ) -> Image.Image:
        """A PIL image turned by `angle` degrees against the clock; the rest is PIL's."""
        chosen = Image.Resampling.NEAREST if resample is None else Image.Resampling(resample)
        return self.to_pil_image(image).rotate(
            angle, chosen, bool(expand), center, translate, fillcolor
        )

    def _check(self, image: Any) -> None:
        if not isinstance(image, Image.Image | np.ndarray | torch.Tensor):
            raise TypeError(
                f"image is {type(image).__name__}: give a PIL image, a numpy array or a torch "
                "tensor."
            )
