"""CLIP's processor: texts through its tokenizer, images through its image processor."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ImagesKwargs, ProcessorMixin

IMAGE_OPTIONS = frozenset(ImagesKwargs.__annotations__) | {"do_convert_rgb"}
"""Arguments of a call that are the image processor's."""


class TextImageProcessor(ProcessorMixin):
    """Base of the processors that make ``input_ids`` of texts and ``pixel_values`` of images, of
    either alone as well."""

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    image_processor: Any
    tokenizer: Any

    def encode(
        self, text: Any, images: Any, return_tensors: Any, text_options: Any, image_options: Any
    ) -> BatchFeature:
        """What the parts make of `text` and `images`, together."""
        if text is None and images is None:
            raise ProcessorError(f"{type(self).__name__} needs text, images or both; got neither.")
        data: dict[str, Any] = {}
        if text is not None:
            data |= self.tokenizer(text, return_tensors=return_tensors, **text_options)
        if images is not None:
            data |= self.image_processor(images, return_tensors=return_tensors, **image_options)
        return BatchFeature(data, tensor_type=return_tensors if text is None else None)

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        names = self.tokenizer.model_input_names + self.image_processor.model_input_names
        return list(dict.fromkeys(names))


class CLIPProcessor(TextImageProcessor):
    """A `CLIPImageProcessor` and a `CLIPTokenizer` as one object."""

    image_processor_class: ClassVar[str] = "CLIPImageProcessor"
    tokenizer_class: ClassVar[tuple[str, str]] = ("CLIPTokenizer", "CLIPTokenizerFast")

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        image_processor = image_processor or kwargs.pop("feature_extractor", None)
        if image_processor is None or tokenizer is None:
            raise ProcessorError("CLIPProcessor needs an image_processor and a tokenizer.")
        super().__init__(image_processor, tokenizer, **kwargs)

    def __call__(
        self, text: Any = None, images: Any = None, return_tensors: Any = None, **kwargs: Any
    ) -> BatchFeature:
        """``input_ids`` and ``attention_mask`` of `text` (one or many), ``pixel_values`` of
        `images` (one or many).

        Arguments of the image processor's call go to it, all others to the tokenizer.
        """
        known = IMAGE_OPTIONS
        image_options = {name: kwargs.pop(name) for name in list(kwargs) if name in known}
        return self.encode(text, images, return_tensors, kwargs, image_options)
