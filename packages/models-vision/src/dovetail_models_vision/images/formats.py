"""What counts as an image, and where its channels are."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from PIL import Image

from dovetail.errors import ProcessorError
from dovetail.logging import get_logger
from dovetail.tokenizers.strategies import ExplicitEnum

logger = get_logger("dovetail.images")

IMAGENET_DEFAULT_MEAN = [0.485, 0.456, 0.406]
IMAGENET_DEFAULT_STD = [0.229, 0.224, 0.225]
IMAGENET_STANDARD_MEAN = [0.5, 0.5, 0.5]
IMAGENET_STANDARD_STD = [0.5, 0.5, 0.5]
OPENAI_CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
OPENAI_CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

ImageInput = Any
"""A PIL image, an array or tensor (C, H, W) or (H, W, C), a list of them, or a batch (B, ...)."""


class ChannelDimension(ExplicitEnum):
    """Where the axis of channels is."""

    FIRST = "channels_first"
    LAST = "channels_last"


class PILImageResampling(IntEnum):
    """PIL's filters by their numbers in ``preprocessor_config.json``."""

    NEAREST = 0
    LANCZOS = 1
    BILINEAR = 2
    BICUBIC = 3
    BOX = 4
    HAMMING = 5


class ImageType(ExplicitEnum):
    """The type that holds an image."""

    PIL = "pillow"
    TORCH = "torch"
    NUMPY = "numpy"


def is_pil_image(img: Any) -> bool:
    """Whether it is a PIL image."""
    return isinstance(img, Image.Image)


def is_torch_tensor(img: Any) -> bool:
    """Whether it is a tensor; does not import torch."""
    return type(img).__module__.partition(".")[0] == "torch" and hasattr(img, "detach")


def get_image_type(image: Any) -> ImageType:
    """What holds the image.

    Raises:
        ProcessorError: no image at all.
    """
    if is_pil_image(image):
        return ImageType.PIL
    if is_torch_tensor(image):
        return ImageType.TORCH
    if isinstance(image, np.ndarray):
        return ImageType.NUMPY
    raise ProcessorError(
        f"images: a {type(image).__name__} is no image. Pass PIL images, numpy arrays or torch "
        "tensors; read files and addresses with `load_image`."
    )


def is_valid_image(img: Any) -> bool:
    """Whether it is of a type that holds images."""
    return is_pil_image(img) or isinstance(img, np.ndarray) or is_torch_tensor(img)


def valid_images(imgs: Any) -> bool:
    """Whether it is an image, or a (nested) list of nothing else."""
    if isinstance(imgs, list | tuple):
        return all(valid_images(one) for one in imgs)
    return is_valid_image(imgs)


def is_batched(img: Any) -> bool:
    """Whether it is a list of images."""
    return isinstance(img, list | tuple) and len(img) > 0 and is_valid_image(img[0])


def make_list_of_images(images: ImageInput, expected_ndims: int = 3) -> list[Any]:
    """One image, a list of images or a batch with a first axis, as a list.

    `expected_ndims` is the number of axes of one image: 3, or 2 for maps of labels.

    Raises:
        ProcessorError: something is no image, or has another number of axes.
    """
    if isinstance(images, list | tuple):
        if not images:
            raise ProcessorError("images: the list is empty; pass at least one image.")
        for image in images:
            get_image_type(image)
        return list(images)
    if get_image_type(images) is ImageType.PIL or images.ndim == expected_ndims:
        return [images]
    if images.ndim == expected_ndims + 1:
        return list(images)
    raise ProcessorError(
        f"images: an array of shape {tuple(images.shape)} is neither one image of "
        f"{expected_ndims} axes nor a batch of {expected_ndims + 1}."
    )


def make_flat_list_of_images(images: Any) -> list[Any]:
    """Images in lists of lists (several for each text) as one list."""
    if isinstance(images, list | tuple) and images and isinstance(images[0], list | tuple):
        return [image for group in images for image in make_list_of_images(group)]
    return make_list_of_images(images)


def to_numpy_array(img: Any) -> np.ndarray:
    """The image as an array, as it is: (H, W) or (H, W, C) from PIL."""
    kind = get_image_type(img)
    return img.detach().cpu().numpy() if kind is ImageType.TORCH else np.array(img)


def is_scaled_image(image: np.ndarray) -> bool:
    """Whether the values are already within 0 and 1."""
    if image.dtype == np.uint8:
        return False
    return bool(np.min(image) >= 0 and np.max(image) <= 1)


def infer_channel_dimension_format(
    image: Any, num_channels: int | tuple[int, ...] | None = None
) -> ChannelDimension:
    """Where the channels of an image (or of a stack of frames, 4 axes) are: the axis that is as
    long as `num_channels` allows (1 or 3). Where both are, the first.

    Raises:
        ProcessorError: neither axis is.
    """
    allowed = (num_channels,) if isinstance(num_channels, int) else num_channels or (1, 3)
    shape = tuple(image.shape)
    if len(shape) not in (3, 4):
        raise ProcessorError(
            f"images: an array of shape {shape} has {len(shape)} axes; one image has 3, "
            "of which one is its channels."
        )
    first, last = shape[-3], shape[-1]
    if first in allowed and last in allowed:
        logger.warning(
            "An image of shape %s may have its channels first or last: first is taken. "
            "Pass input_data_format to say which.",
            shape,
        )
    if first in allowed:
        return ChannelDimension.FIRST
    if last in allowed:
        return ChannelDimension.LAST
    raise ProcessorError(
        f"images: an array of shape {shape} has no axis of {' or '.join(map(str, allowed))} "
        "channels at its start or end. Pass input_data_format, or convert it to RGB."
    )


def layout_of(image: Any, input_data_format: str | None) -> ChannelDimension:
    """The layout that was given, else the one that is inferred.

    Raises:
        ProcessorError: the given name is none.
    """
    if input_data_format is None:
        return infer_channel_dimension_format(image)
    try:
        return ChannelDimension(input_data_format)
    except ValueError:
        raise ProcessorError(
            f"input_data_format={input_data_format!r}: use 'channels_first' or 'channels_last'."
        ) from None


def get_channel_dimension_axis(image: np.ndarray, input_data_format: str | None = None) -> int:
    """The index of the axis of channels."""
    first = layout_of(image, input_data_format) is ChannelDimension.FIRST
    return image.ndim - 3 if first else image.ndim - 1


def get_image_size(image: Any, channel_dim: str | None = None) -> tuple[int, int]:
    """Height and width of an array."""
    if layout_of(image, channel_dim) is ChannelDimension.FIRST:
        return image.shape[-2], image.shape[-1]
    return image.shape[-3], image.shape[-2]


def to_channel_dimension_format(
    image: np.ndarray, channel_dim: str, input_channel_dim: str | None = None
) -> np.ndarray:
    """The image with its channels where `channel_dim` says."""
    wanted = layout_of(image, channel_dim)
    if layout_of(image, input_channel_dim) is wanted:
        return image
    return (
        image.transpose(2, 0, 1) if wanted is ChannelDimension.FIRST else image.transpose(1, 2, 0)
    )


def check_not_empty(image: Any, what: str) -> None:
    """Refuse a picture without pixels; `what` names it."""
    shape: Sequence[int] = image.size if is_pil_image(image) else image.shape
    if 0 in tuple(shape):
        raise ProcessorError(f"{what}: an image of shape {tuple(shape)} has no pixels.")
