"""Idefics2's processor: as many image tokens in a text as the resampler makes of a picture, between
tokens that stand around pictures."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ImagesKwargs, ProcessingKwargs
from dovetail.tokenizers import AddedToken
from dovetail_models_vision.images.groups import groups_of_images
from dovetail_models_vision.vision_language.grouping import GroupingProcessor

AROUND = "<fake_token_around_image>"
"""What stands before and behind a picture; one stands between two pictures."""
QUARTERS = 4


class Idefics2ImagesKwargs(ImagesKwargs, total=False):
    """What the image processor takes in a call, and how many tokens a picture takes."""

    do_convert_rgb: bool
    do_image_splitting: bool
    image_seq_len: int


class Idefics2ProcessorKwargs(ProcessingKwargs, total=False):
    """Texts are not padded unless that is asked for."""

    images_kwargs: Idefics2ImagesKwargs  # type: ignore[misc]
    _defaults = {  # type: ignore[misc] # noqa: RUF012
        "text_kwargs": {"add_special_tokens": True, "padding": False},
        "images_kwargs": {},
    }


class Idefics2Processor(GroupingProcessor):
    """An `Idefics2ImageProcessor` and a tokenizer, which gets the tokens that it lacks.

    `image_seq_len` is the number of tokens that a picture takes: the model's
    ``perceiver_config.resampler_n_latents``. A call may have its own.
    """

    valid_kwargs: ClassVar[list[str]] = ["image_seq_len", "chat_template"]
    image_processor_class: ClassVar[str] = "Idefics2ImageProcessor"
    kwargs_class = Idefics2ProcessorKwargs
    notes: ClassVar[tuple[str, ...]] = ("image_seq_len", "parts")
    special_tokens: ClassVar[tuple[str, ...]] = (AROUND, "<image>", "<end_of_utterance>")
    image_seq_len: int

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any = None,
        image_seq_len: int = 64,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        if image_processor is None or tokenizer is None:
            raise ProcessorError(f"{type(self).__name__} needs an image_processor and a tokenizer.")
        self.image_seq_len = image_seq_len
        added = [AddedToken(token, normalized=False, special=True) for token in self.special_tokens]
        tokenizer.add_special_tokens({"additional_special_tokens": added})
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def prepare_images(self, images: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of the images of each text."""
        length = options.pop("image_seq_len", None) or self.image_seq_len
        groups = groups_of_images(images)
        made = self.image_processor(groups, **options)
        split = options.get("do_image_splitting")
        split = self.image_processor.do_image_splitting if split is None else split
        pictures = sum(len(group) for group in groups)
        made.update(image_seq_len=length, parts=[QUARTERS * split + 1] * pictures)
        return made

    def image_texts(self, images: BatchFeature) -> list[str]:
        """Image tokens for the parts of each picture."""
        part = AROUND + self.image_token * images["image_seq_len"]
        return [part * parts + AROUND for parts in images["parts"]]

    def written(self, texts: list[str], seen: Any, watched: Any) -> list[str]:
        """As everywhere; between two pictures one token stands around both."""
        written = super().written(texts, seen, watched)
        return [text.replace(AROUND * 2, AROUND) for text in written]
