"""ViLT's processor: texts through BERT's tokenizer, images through its image processor."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.tokenizers import BatchEncoding
from dovetail_models_vision.clip.processing import TextImageProcessor


class ViltProcessor(TextImageProcessor):
    """A `ViltImageProcessor` and a `BertTokenizer` as one object."""

    image_processor_class: ClassVar[str] = "ViltImageProcessor"
    tokenizer_class: ClassVar[tuple[str, str]] = ("BertTokenizer", "BertTokenizerFast")

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        image_processor = image_processor or kwargs.pop("feature_extractor", None)
        if image_processor is None or tokenizer is None:
            raise ProcessorError("ViltProcessor needs an image_processor and a tokenizer.")
        super().__init__(image_processor, tokenizer, **kwargs)

    def __call__(
        self, images: Any, text: Any = None, return_tensors: Any = None, **kwargs: Any
    ) -> BatchEncoding:
        """``input_ids``, ``token_type_ids`` and ``attention_mask`` of `text` (one or many),
        ``pixel_values`` and ``pixel_mask`` of `images` (one or many); further arguments are the
        tokenizer's."""
        encoding = self.tokenizer(text, return_tensors=return_tensors, **kwargs)
        encoding.update(self.image_processor(images, return_tensors=return_tensors))
        return encoding
