"""Pixtral's processor: an image token for each patch, and one at the end of each row and of the
picture."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ImagesKwargs, ProcessingKwargs
from dovetail_models_vision.images.groups import groups_of_images
from dovetail_models_vision.vision_language.grouping import GroupingProcessor


class PixtralImagesKwargs(ImagesKwargs, total=False):
    """What the image processor takes in a call."""

    do_convert_rgb: bool
    patch_size: dict[str, int]


class PixtralProcessorKwargs(ProcessingKwargs, total=False):
    """Texts are not padded unless that is asked for; the results are torch's tensors."""

    images_kwargs: PixtralImagesKwargs  # type: ignore[misc]
    _defaults = {  # type: ignore[misc] # noqa: RUF012
        "text_kwargs": {"padding": False},
        "images_kwargs": {},
        "common_kwargs": {"return_tensors": "pt"},
    }


class PixtralProcessor(GroupingProcessor):
    """A `PixtralImageProcessor` and a tokenizer.

    ``pixel_values`` are lists of tensors (C, H, W), one for each text. `patch_size` is the number
    of pixels to each side that `image_token` stands for; `image_break_token` ends a row of them,
    `image_end_token` the last.
    """

    valid_kwargs: ClassVar[list[str]] = [
        "chat_template",
        "patch_size",
        "image_token",
        "image_break_token",
        "image_end_token",
    ]
    kwargs_class = PixtralProcessorKwargs
    notes: ClassVar[tuple[str, ...]] = ("image_sizes",)

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        chat_template: str | None = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
        **kwargs: Any,
    ) -> None:
        if image_processor is None or tokenizer is None:
            raise ProcessorError("PixtralProcessor needs an image_processor and a tokenizer.")
        self.patch_size = patch_size
        self.image_token = image_token
        self.image_break_token, self.image_end_token = image_break_token, image_end_token
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def prepare_images(self, images: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of the images of each text."""
        return self.image_processor(groups_of_images(images), **options)

    def image_texts(self, images: BatchFeature) -> list[str]:
        """The tokens of each picture, row by row."""
        return [self.rows(*size) for group in images["image_sizes"] for size in group]

    def rows(self, height: int, width: int) -> str:
        """The tokens of a picture of so many pixels."""
        row = self.image_token * (width // self.patch_size)
        rows = self.image_break_token.join([row] * (height // self.patch_size))
        return rows + self.image_end_token
