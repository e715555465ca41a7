"""SigLIP's processor: texts through its tokenizer, images through its image processor."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.processors import BatchFeature
from dovetail_models_vision.clip.processing import TextImageProcessor


class SiglipProcessor(TextImageProcessor):
    """A `SiglipImageProcessor` and a `SiglipTokenizer` as one object."""

    image_processor_class: ClassVar[str] = "SiglipImageProcessor"
    tokenizer_class: ClassVar[str] = "SiglipTokenizer"

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        super().__init__(image_processor, tokenizer)

    def __call__(
        self,
        text: Any = None,
        images: Any = None,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        return_tensors: Any = "pt",
    ) -> BatchFeature:
        """``input_ids`` of `text` (one or many), ``pixel_values`` of `images` (one or many).

        The model was trained on texts of full length: ``padding="max_length"``.
        """
        options = {"padding": padding, "truncation": truncation, "max_length": max_length}
        return self.encode(text, images, return_tensors, options, {})
