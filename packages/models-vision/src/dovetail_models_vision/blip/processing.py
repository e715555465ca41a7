"""BLIP's processor: pictures and the texts beside them."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ProcessingKwargs, ProcessorMixin

TEXT_DEFAULTS: dict[str, Any] = {
    "add_special_tokens": True,
    "padding": False,
    "stride": 0,
    "return_overflowing_tokens": False,
    "return_special_tokens_mask": False,
    "return_offsets_mapping": False,
    "return_token_type_ids": False,
    "return_length": False,
    "verbose": True,
}
"""What the tokenizer gets unless a call says otherwise."""


class BlipProcessorKwargs(ProcessingKwargs, total=False):
    """The arguments of a call by part."""

    _defaults = {"text_kwargs": TEXT_DEFAULTS}  # type: ignore[misc] # noqa: RUF012


class BlipProcessor(ProcessorMixin):
    """A `BlipImageProcessor` and a `BertTokenizer`, which makes no segments, as one object."""

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    image_processor_class = "BlipImageProcessor"
    tokenizer_class = ("BertTokenizer", "BertTokenizerFast")
    image_processor: Any
    tokenizer: Any

    def __init__(self, image_processor: Any, tokenizer: Any, **kwargs: Any) -> None:
        tokenizer.return_token_type_ids = False
        super().__init__(image_processor, tokenizer, **kwargs)

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """``pixel_values`` of `images` and ``input_ids`` with ``attention_mask`` of `text`, of
        either alone as well; `kwargs` go to the part that knows them.

        Raises:
            ProcessorError: there is neither, or there is sound or a video.
        """
        check_pictures_and_texts(self, images, text, audio, videos)
        options = self._merge_kwargs(
            BlipProcessorKwargs, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs
        )
        encoded: dict[str, Any] = {}
        if images is not None:
            encoded |= self.image_processor(flattened(images), **options["images_kwargs"])
        if text is not None:
            encoded |= self.tokenizer(text, **options["text_kwargs"])
        return BatchFeature(encoded)

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        names = self.tokenizer.model_input_names + self.image_processor.model_input_names
        return list(dict.fromkeys(names))


def flattened(images: Any) -> Any:
    """Pictures in lists, one for each text, as one list; others as they are."""
    nested = isinstance(images, list | tuple) and images and isinstance(images[0], list | tuple)
    return [image for group in images for image in group] if nested else images


def check_pictures_and_texts(
    processor: Any, images: Any, text: Any, audio: Any, videos: Any
) -> None:
    """Refuse a call without `images` and `text`, or with sound or `videos`.

    Raises:
        ProcessorError: either is so.
    """
    name = type(processor).__name__
    if images is None and text is None:
        raise ProcessorError(f"{name} needs images, text or both; got neither.")
    for argument, value in {"audio": audio, "videos": videos}.items():
        if value is not None:
            raise ProcessorError(f"{argument}: {name} takes images and texts alone.")
