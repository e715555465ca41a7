"""OWL-ViT's processor: texts to look for, images to look at, and query pictures."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_vision.clip.processing import TextImageProcessor

FILLER = " "
"""A text that is no query: it fills up the number of an image's queries."""


class OwlViTProcessor(TextImageProcessor):
    """An `OwlViTImageProcessor` and a `CLIPTokenizer` as one object."""

    image_processor_class: ClassVar[str] = "OwlViTImageProcessor"
    tokenizer_class: ClassVar[tuple[str, str]] = ("CLIPTokenizer", "CLIPTokenizerFast")

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        image_processor = image_processor or kwargs.pop("feature_extractor", None)
        if image_processor is None or tokenizer is None:
            raise ProcessorError("OwlViTProcessor needs an image_processor and a tokenizer.")
        super().__init__(image_processor, tokenizer, **kwargs)

    def __call__(
        self,
        text: Any = None,
        images: Any = None,
        query_images: Any = None,
        padding: Any = "max_length",
        return_tensors: Any = "np",
        **kwargs: Any,
    ) -> BatchFeature:
        """``input_ids`` of `text`: one, several for one image, or a list of lists, one for each
        image (filled up to as many as the longest has); ``query_pixel_values`` of `query_images`,
        ``pixel_values`` of `images`."""
        if text is None and images is None and query_images is None:
            raise ProcessorError(
                "OwlViTProcessor needs text, query_images or images; got none of them."
            )
        data: dict[str, Any] = {}
        if text is not None:
            options = {"padding": padding, "return_tensors": return_tensors}
            data |= self.tokenizer(queries(text), **options, **kwargs)
        if query_images is not None:
            given = self.image_processor(query_images, return_tensors=return_tensors, **kwargs)
            data["query_pixel_values"] = given["pixel_values"]
        if images is not None:
            data |= self.image_processor(images, return_tensors=return_tensors, **kwargs)
        return BatchFeature(data)

    def post_process(self, *args: Any, **kwargs: Any) -> Any:
        """The image processor's `post_process`."""
        return self.image_processor.post_process(*args, **kwargs)

    def post_process_object_detection(self, *args: Any, **kwargs: Any) -> Any:
        """The image processor's `post_process_object_detection`."""
        return self.image_processor.post_process_object_detection(*args, **kwargs)

    def post_process_image_guided_detection(self, *args: Any, **kwargs: Any) -> Any:
        """The image processor's `post_process_image_guided_detection`."""
        return self.image_processor.post_process_image_guided_detection(*args, **kwargs)


def queries(text: Any) -> list[str]:
    """The texts of all images in one list, as many for each.

    Raises:
        ProcessorError: what is given is neither a text nor texts nor lists of them.
    """
    if isinstance(text, str):
        return [text]
    rows = [[one] if isinstance(one, str) else one for one in text]
    if isinstance(text[0], str):
        rows = [[one for row in rows for one in row]]
    if not all(isinstance(one, str) for row in rows for one in row):
        raise ProcessorError(
            f"text={text!r} is neither a text nor a list of texts nor a list of such lists."
        )
    longest = max(map(len, rows))
    return [one for row in rows for one in (*row, *[FILLER] * (longest - len(row)))]
