"""The declared image processor: a family states its defaults, and what it does differently.

    class AcmeImageProcessor(ImageProcessor):
        size = {"shortest_edge": 224}
        resample = PILImageResampling.BICUBIC
        do_center_crop = True
        crop_size = {"height": 224, "width": 224}

Every public class attribute that is no function is a setting: an argument of the constructor and of
`preprocess`, and a key of ``preprocessor_config.json``.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from dovetail import BaseImageProcessor, BatchFeature
from dovetail.errors import ProcessorError, near_matches
from dovetail.logging import get_logger
from dovetail_models_vision.images import exact
from dovetail_models_vision.images.formats import (
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    ChannelDimension,
    PILImageResampling,
    check_not_empty,
    is_pil_image,
    layout_of,
    make_list_of_images,
)
from dovetail_models_vision.images.loading import to_rgb
from dovetail_models_vision.images.sizes import get_size_dict, shortest_edge_size, within_size

logger = get_logger("dovetail.images")

Settings = SimpleNamespace
"""The settings of one call: the processor's own with the call's in their place."""

SIZES = ("size", "crop_size", "pad_size")
"""Settings that are sizes."""

NOT_SETTINGS = ("model_input_names",)


class ImageProcessor(BaseImageProcessor):
    """Base of the image processors of this package.

    Pictures become tensors by torch (`fast`), which is within one shade of 256 of what PIL gives;
    ``use_fast=False`` asks for PIL's own arithmetic (`exact`), equal to the bit. Both take any
    mixture of sizes and types. The steps are: RGB, resize, center crop, rescale, normalize.
    """

    do_resize: bool = True
    size: Mapping[str, int] | None = None
    resample: int = PILImageResampling.BILINEAR
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: Sequence[float] | float | None = IMAGENET_STANDARD_MEAN
    image_std: Sequence[float] | float | None = IMAGENET_STANDARD_STD

    _names: ClassVar[tuple[str, ...]] = ()
    """The settings of the class, in the order in which they were declared."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared: dict[str, None] = {}
        for parent in reversed(cls.__mro__[: cls.__mro__.index(ImageProcessor) + 1]):
            declared |= dict.fromkeys(n for n, v in vars(parent).items() if _is_setting(n, v))
        cls._names = tuple(declared)

    def __init__(self, use_fast: bool | None = None, **kwargs: Any) -> None:
        self._use_fast = use_fast is None or bool(use_fast)
        for name in self._names:
            given = kwargs.pop(name, None)
            value = copy.deepcopy(getattr(type(self), name)) if given is None else given
            setattr(self, name, self._checked(name, value))
        super().__init__(**kwargs)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        use_fast: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """As the base class's; `use_fast` as in the constructor."""
        made = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        processor: Any = made[0] if isinstance(made, tuple) else made
        processor._use_fast = use_fast is None or bool(use_fast)
        return made

    @property
    def is_fast(self) -> bool:
        """Whether torch does the work."""
        return self._use_fast

    def __call__(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """`preprocess`."""
        return self.preprocess(*args, **kwargs)

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, C, H, W): one image or several, prepared.

        `overrides` replace settings in this call. Without `return_tensors` (``"pt"`` or ``"np"``)
        the result is a list of arrays. `data_format` says where their channels are to be (None: as
        they came), `input_data_format` where they are in arrays given.

        Raises:
            ProcessorError: something is no image, damaged or empty, or a setting cannot be.
        """
        settings = self.settings(overrides)
        pictures = make_list_of_images(images)
        data_format = data_format or _layout(pictures[0], input_data_format)
        pixels = self.prepare(pictures, settings, input_data_format)
        return self.output(self.batch(pixels, settings), return_tensors, data_format)

    def batch(self, pixels: Any, settings: Settings) -> dict[str, Any]:
        """The model's inputs by name, from the prepared images."""
        return {"pixel_values": pixels}

    def settings(self, overrides: Mapping[str, Any]) -> Settings:
        """The settings of one call, checked.

        Raises:
            ProcessorError: a setting cannot be, or lacks another that it needs.
        """
        values = {name: getattr(self, name) for name in self._names}
        for name, value in overrides.items():
            if name not in values:
                near = near_matches(name, self._names)
                logger.warning(
                    "%s has no setting %r: it is left out.%s", type(self).__name__, name, near
                )
            elif value is not None:
                values[name] = self._checked(name, value)
        merged = Settings(**values)
        for switch, needed in self._needs():
            if getattr(merged, switch, False) and getattr(merged, needed) is None:
                raise ProcessorError(
                    f"{type(self).__name__}: {switch}=True needs {needed}, which is None."
                )
        return merged

    def _needs(self) -> list[tuple[str, str]]:
        """Which switch needs which setting."""
        pairs = {
            "do_resize": ("size", "resample"),
            "do_center_crop": ("crop_size",),
            "do_rescale": ("rescale_factor",),
            "do_normalize": ("image_mean", "image_std"),
        }
        return [(s, n) for s, names in pairs.items() for n in names if n in self._names]

    def _checked(self, name: str, value: Any) -> Any:
        """A setting's value in its usual form."""
        where = f"{type(self).__name__}: {name}={value!r}"
        if name in SIZES and value is not None:
            default = getattr(type(self), name) or {}
            square = "shortest_edge" not in default
            return get_size_dict(value, default_to_square=square, param_name=name)
        if name.startswith("do_") and value is not None and not isinstance(value, bool):
            raise ProcessorError(f"{where}: use True or False.")
        if name == "resample":
            try:
                return PILImageResampling(value)
            except ValueError:
                filters = ", ".join(f"{f.value} ({f.name.lower()})" for f in PILImageResampling)
                raise ProcessorError(f"{where}: a filter is one of {filters}.") from None
        if name == "image_std" and value is not None and np.any(np.asarray(value) == 0):
            raise ProcessorError(f"{where}: a deviation of 0 cannot be divided by.")
        return value

    def ops(self) -> ModuleType:
        """The module that does the work: `fast` or `exact`."""
        if not self._use_fast:
            return exact
        from dovetail_models_vision.images import fast  # imports torch

        return fast

    def prepare(self, pictures: Sequence[Any], settings: Settings, layout: str | None) -> Any:
        """Images as arrays (C, H, W), through all steps: a list, or one tensor where the sizes are
        equal."""
        sized = [self.sized(self.read(p, layout, i), settings) for i, p in enumerate(pictures)]
        return self.finished(sized, settings)

    def read(self, picture: Any, layout: str | None = None, index: int = 0) -> Any:
        """An image of any type as an array (C, H, W)."""
        what = f"images[{index}]"
        check_not_empty(picture, what)
        if is_pil_image(picture):
            picture = to_rgb(picture, what)
        return self.ops().from_input(picture, layout)

    def sized(self, image: Any, settings: Settings) -> Any:
        """Resized and cropped."""
        ops = self.ops()
        if settings.do_resize:
            target = self.output_size(tuple(image.shape[1:]), settings)
            image = ops.resize(image, target, settings.resample)
        if getattr(settings, "do_center_crop", False):
            image = ops.center_crop(image, _pair(settings.crop_size, "crop_size"))
        return image

    def output_size(self, size: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """What an image of (height, width) is resized to."""
        wanted = settings.size
        if "height" in wanted:
            return wanted["height"], wanted["width"]
        if "max_height" in wanted:
            return within_size(size, wanted["max_height"], wanted["max_width"])
        if "shortest_edge" in wanted:
            return shortest_edge_size(size, wanted["shortest_edge"], wanted.get("longest_edge"))
        return within_size(size, wanted["longest_edge"], wanted["longest_edge"])

    def finished(self, images: Sequence[Any], settings: Settings) -> Any:
        """Rescaled and normalized."""
        scale = settings.rescale_factor if settings.do_rescale else None
        mean = std = None
        if settings.do_normalize:
            channels = {len(image) for image in images}
            if len(channels) > 1:
                raise ProcessorError(
                    f"images: of {sorted(channels)} channels in one call. Convert them all to RGB."
                )
            mean = _by_channel(settings.image_mean, len(images[0]), "image_mean")
            std = _by_channel(settings.image_std, len(images[0]), "image_std")
        return self.ops().finish_all(images, scale, mean, std)

    def together(self, images: Sequence[Any]) -> Any:
        """Images that are finished, as one batch where their shapes are equal."""
        return self.ops().finish_all(images, None, None, None)

    def output(
        self,
        data: Mapping[str, Any],
        return_tensors: str | None,
        data_format: str | None = ChannelDimension.FIRST,
        pictures: Sequence[str] = ("pixel_values",),
    ) -> BatchFeature:
        """The result of a call, with the channels of the entries named in `pictures` in place."""
        last = data_format is not None and layout_of(None, data_format) is ChannelDimension.LAST
        made = {}
        for name, value in data.items():
            if name in pictures:
                value = _moved(value, last)
            made[name] = value if return_tensors == "pt" else _plain(value, return_tensors)
        return BatchFeature(made, tensor_type=return_tensors)

    def resize(
        self,
        image: Any,
        size: Mapping[str, int],
        resample: int | None = None,
        data_format: str | None = None,
        input_data_format: str | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """One image at the `size` that the class makes of it."""
        settings = self.settings({"size": size, "resample": resample})
        first = exact.from_input(image, input_data_format)
        target = self.output_size(first.shape[1:], settings)
        resized = exact.resize(first, target, settings.resample)
        return _moved(
            resized, (data_format or _layout(image, input_data_format)) == "channels_last"
        )


def _is_setting(name: str, value: Any) -> bool:
    if name.startswith("_") or name in NOT_SETTINGS:
        return False
    return not (callable(value) or isinstance(value, property | classmethod | staticmethod))


def _layout(image: Any, input_data_format: str | None) -> str:
    return ChannelDimension.FIRST if is_pil_image(image) else layout_of(image, input_data_format)


def _pair(size: Mapping[str, int], name: str) -> tuple[int, int]:
    if "height" not in size:
        raise ProcessorError(f"{name}={dict(size)}: give its 'height' and 'width'.")
    return size["height"], size["width"]


def _by_channel(value: Any, channels: int, name: str) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else list(value)
    if len(values) != channels:
        raise ProcessorError(
            f"{name}={values} has {len(values)} values, the images have {channels} channels. "
            "Give one value for each, or convert the images to RGB."
        )
    return values


def _moved(value: Any, last: bool) -> Any:
    """Channels moved behind, in every image of a list or batch."""
    if not last:
        return value
    if isinstance(value, list):
        return [_moved(one, last) for one in value]
    axes = (*range(value.ndim - 3), value.ndim - 2, value.ndim - 1, value.ndim - 3)
    return value.transpose(axes) if isinstance(value, np.ndarray) else value.permute(axes)


def _plain(value: Any, return_tensors: str | None) -> Any:
    """Tensors as arrays, and without a tensor type one array for each image."""
    if type(value).__module__.partition(".")[0] == "torch":
        value = value.cpu().numpy()
    if isinstance(value, np.ndarray) and return_tensors is None:
        return list(value)
    return [_plain(one, "np") for one in value] if isinstance(value, list) else value
