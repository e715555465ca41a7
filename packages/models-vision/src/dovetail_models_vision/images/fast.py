"""Transforms on torch tensors (C, H, W): within one shade of 256 of the exact ones, on any device.

`exact` has the same functions on numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dovetail.errors import ProcessorError
from dovetail.pages import blank
from dovetail_models_vision.images import exact
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    PILImageResampling,
    is_pil_image,
    is_torch_tensor,
    layout_of,
)

NATIVE = {PILImageResampling.BILINEAR: "bilinear", PILImageResampling.BICUBIC: "bicubic"}
"""The filters that torch has for bytes."""


def from_input(image: Any, input_data_format: str | None = None) -> Tensor:
    """Any image as a tensor (C, H, W), on its own device."""
    if is_pil_image(image) or not is_torch_tensor(image):
        array = np.array(image) if is_pil_image(image) else image
        if (
            array.dtype.byteorder == ">"
            or min(array.strides, default=0) < 0
            or not array.flags.writeable
        ):
            array = np.array(array, dtype=array.dtype.newbyteorder("="))
        tensor = torch.from_numpy(array)
        if is_pil_image(image):
            return tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor[None]
        image = tensor
    first = layout_of(image, input_data_format) is ChannelDimension.FIRST
    return image.detach() if first else image.detach().permute(2, 0, 1)


def resize(
    image: Tensor, size: tuple[int, int], resample: int, reducing_gap: float | None = None
) -> Tensor:
    """The image at `size`, as uint8, or as float32 where values were within 0 and 1.

    `reducing_gap` trades exactness for speed in PIL; here nothing is to be gained by it.
    """
    scaled = needs_scaling(image)
    resized = shades(image)
    if tuple(image.shape[1:]) != size:
        resized = _resampled(resized, size, resample)
    return resized.to(torch.float32) / 255 if scaled else resized


def shades(image: Tensor) -> Tensor:
    """The image as bytes; shares of 1 become 0..255."""
    return (image * 255 if needs_scaling(image) else image).to(torch.uint8)


def needs_scaling(image: Tensor) -> bool:
    """Whether the values are shares of 1, which filters of bytes must get as 0..255.

    Raises:
        ProcessorError: they are neither shares nor bytes.
    """
    if image.dtype == torch.uint8:
        return False
    low, high = (float(x) for x in torch.aminmax(image.float())) if image.numel() else (0.0, 0.0)
    whole = not image.is_floating_point() or torch.allclose(image, image.trunc())
    if whole and low >= 0 and high <= 255:
        return False
    if not whole and low >= 0 and high <= 1:
        return True
    raise ProcessorError(
        f"images: values from {low} to {high} ({image.dtype}) cannot be resized as a picture: they "
        "must be whole numbers within 0..255 or fractions within 0..1."
    )


def _resampled(image: Tensor, size: tuple[int, int], resample: int) -> Tensor:
    if resample == PILImageResampling.NEAREST:
        return nearest(image, size)
    height, width = image.shape[1:]
    # As PIL: rows, rounded, and then columns, unless columns lose over twice as many pixels.
    columns_first = size[0] < height and height - size[0] > 2 * (width - size[1])
    mode = NATIVE.get(PILImageResampling(resample))
    on_cpu = image.device.type == "cpu"
    grows = size[0] > height or size[1] > width
    by_pil = on_cpu and len(image) in (1, 3, 4)
    if by_pil and (mode is None or (grows and columns_first)):  # PIL is fastest at other filters
        return torch.from_numpy(exact.resize(image.numpy(), size, resample))
    if by_pil and grows and size[1] != width:  # two enlargements by torch may be two shades off
        image = torch.from_numpy(exact.resize(image.numpy(), (height, size[1]), resample))
    if mode is not None and on_cpu:
        steps = [(size[0], width), size] if columns_first else [size]
        for step in steps:
            image = F.interpolate(image[None], step, mode=mode, antialias=True)[0]
        return image
    for axis in (1, 2) if columns_first else (2, 1):
        if image.shape[axis] != size[axis - 1]:
            image = _along(image, axis, size[axis - 1], PILImageResampling(resample))
    return image


def nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of any type (C, H, W) at `size`, each the one that PIL takes."""
    for axis, length in ((1, size[0]), (2, size[1])):
        step = image.shape[axis] / length
        places = np.cumsum([step / 2, *[step] * (length - 1)])  # PIL adds up, with its roundings
        chosen = np.minimum(places.astype(np.int64), image.shape[axis] - 1)
        image = image.index_select(axis, torch.from_numpy(chosen).to(image.device))
    return image


def _along(image: Tensor, axis: int, length: int, resample: PILImageResampling) -> Tensor:
    weights = torch.from_numpy(_weights(image.shape[axis], length, resample)).to(image.device)
    values = torch.tensordot(image.float(), weights, dims=([axis], [1])).movedim(-1, axis)
    return values.add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)


def _sinc(x: np.ndarray) -> np.ndarray:
    return np.sinc(x)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


KERNELS: dict[PILImageResampling, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    PILImageResampling.BOX: (0.5, lambda x: ((x > -0.5) & (x <= 0.5)).astype(float)),
    PILImageResampling.BILINEAR: (1.0, lambda x: np.maximum(0.0, 1 - np.abs(x))),
    PILImageResampling.HAMMING: (
        1.0,
        lambda x: np.where(np.abs(x) < 1, _sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0),
    ),
    PILImageResampling.BICUBIC: (2.0, _cubic),
    PILImageResampling.LANCZOS: (
        3.0,
        lambda x: np.where(np.abs(x) < 3, _sinc(x) * _sinc(x / 3), 0.0),
    ),
}
"""Half the width of each filter and the filter itself."""


@lru_cache(maxsize=64)
def _weights(length: int, wanted: int, resample: PILImageResampling) -> np.ndarray:
    """What each input pixel adds to each output pixel along one axis, (wanted, length)."""
    support, kernel = KERNELS[resample]
    stretch = max(length / wanted, 1.0)
    centres = (np.arange(wanted) + 0.5) * (length / wanted)
    starts = np.maximum((centres - support * stretch + 0.5).astype(int), 0)
    ends = np.minimum((centres + support * stretch + 0.5).astype(int), length)
    positions = np.arange(length)
    values = kernel((positions[None] - centres[:, None] + 0.5) / stretch)
    values *= (positions >= starts[:, None]) & (positions < ends[:, None])
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32)


def finish(
    image: Tensor,
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Tensor:
    """Rescaled and normalized in one multiplication and one addition."""
    return finish_all([image], scale, mean, std)[0]


def finish_all(
    images: Sequence[Tensor],
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Tensor | list[Tensor]:
    """`finish` for each: as one tensor (B, C, H, W) where the shapes are equal."""
    one_shape = len({(image.shape, image.device, image.dtype) for image in images}) == 1
    if scale is None and mean is None:
        return torch.stack(list(images)) if one_shape else list(images)
    factor, shift = _affine(len(images[0]), scale, mean, std)
    if not one_shape:
        return [_apply(torch.empty(i.shape, device=i.device), i, factor, shift) for i in images]
    shape = (len(images), *images[0].shape)
    if images[0].is_cpu:
        batch = blank(shape, torch.float32)
    else:
        batch = torch.empty(shape, device=images[0].device)
    factor, shift = factor.to(batch), shift.to(batch)
    for row, image in zip(batch, images, strict=True):  # each stays in the processor's cache
        _apply(row, image, factor, shift)
    return batch


def _affine(
    channels: int, scale: float | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    factor = torch.full((channels, 1, 1), 1.0 if scale is None else scale, dtype=torch.float64)
    shift = torch.zeros_like(factor)
    if mean is not None and std is not None:
        centre, spread = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (mean, std))
        factor, shift = factor / spread, -centre / spread
    return factor, shift


def _apply(out: Tensor, image: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    return out.copy_(image).mul_(factor.to(out)).add_(shift.to(out))


def center_crop(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of the image; a smaller one gets a border of zeros."""
    (top, bottom), (left, right) = exact.crop_margins(image.shape[1:], size)
    return F.pad(image, (left, right, top, bottom))


def pad(image: Tensor, margins: exact.Margins, mode: str = "constant", value: Any = 0) -> Tensor:
    """The image with margins; `value` is a number, or one for each channel."""
    if not any(any(pair) for pair in margins):
        return image
    if exact.padding_mode(mode) == "constant" and isinstance(value, int | float):
        (top, bottom), (left, right) = margins
        return F.pad(image, (left, right, top, bottom), value=value)
    return torch.from_numpy(exact.pad(image.cpu().numpy(), margins, mode, value)).to(image.device)
