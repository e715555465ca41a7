"""PaliGemma's processor: image tokens in front of a prefix, which ends with a line, and a suffix to
learn behind it."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ImagesKwargs, ProcessingKwargs, TextKwargs
from dovetail.tokenizers import AddedToken
from dovetail_models_vision.images.formats import is_valid_image
from dovetail_models_vision.vision_language.processing import (
    VisionLanguageProcessor,
    in_order,
    list_of_texts,
)

PLACES = [f"<loc{number:04}>" for number in range(1024)]
MASKS = [f"<seg{number:03}>" for number in range(128)]
"""Words for places in a picture and for shapes of masks."""
IGNORED = -100


class PaliGemmaTextKwargs(TextKwargs, total=False):
    """What the tokenizer takes in a call, and what is to be learnt."""

    suffix: str | list[str] | None


class PaliGemmaImagesKwargs(ImagesKwargs, total=False):
    """What the image processor takes in a call."""

    do_convert_rgb: bool | None


class PaliGemmaProcessorKwargs(ProcessingKwargs, total=False):
    """Texts are not padded unless that is asked for."""

    text_kwargs: PaliGemmaTextKwargs  # type: ignore[misc]
    images_kwargs: PaliGemmaImagesKwargs  # type: ignore[misc]
    _defaults = {  # type: ignore[misc] # noqa: RUF012
        "text_kwargs": {"padding": False},
        "images_kwargs": {"data_format": "channels_first"},
    }


class PaliGemmaProcessor(VisionLanguageProcessor):
    """A `SiglipImageProcessor`, whose ``image_seq_length`` says how many tokens a picture takes,
    and a `GemmaTokenizer`, which gets the words for places and masks that it lacks."""

    image_processor_class: ClassVar[str] = "SiglipImageProcessor"
    tokenizer_class: ClassVar[tuple[str, str]] = ("GemmaTokenizer", "GemmaTokenizerFast")
    kwargs_class = PaliGemmaProcessorKwargs

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        if image_processor is None or tokenizer is None:
            raise ProcessorError("PaliGemmaProcessor needs an image_processor and a tokenizer.")
        if not hasattr(image_processor, "image_seq_length"):
            raise ProcessorError(
                "PaliGemmaProcessor needs an image_processor with an image_seq_length, the number "
                "of tokens that a picture takes: (image size / patch size) squared."
            )
        image = AddedToken(self.image_token, normalized=False, special=True)
        tokenizer.add_special_tokens({"additional_special_tokens": [image]})
        tokenizer.add_tokens([*PLACES, *MASKS])
        tokenizer.add_bos_token = tokenizer.add_eos_token = False
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    @property
    def image_token_id(self) -> int:
        """The id of the image token."""
        return self.tokenizer.convert_tokens_to_ids(self.image_token)

    @property
    def image_seq_length(self) -> int:
        """How many tokens a picture takes."""
        return self.image_processor.image_seq_length

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """The model's inputs for a prefix or several and their `images`, one for each or lists of
        them: ``input_ids``, ``attention_mask`` and ``pixel_values``.

        Texts without image tokens get those of their images in front. With a ``suffix``, or one for
        each text, ``token_type_ids`` are 1 in it and ``labels`` are its tokens.

        Raises:
            ProcessorError: no images, or not as many as texts, tokens or suffixes ask for.
        """
        images, text = in_order(images, text)
        if images is None:
            raise ProcessorError("images: PaliGemmaProcessor needs them with every text.")
        texts = [""] if text is None else list_of_texts(text)
        if not any(self.image_token in one for one in texts):
            texts = self.prefixed(texts, images)
        texts = [f"{one}\n" for one in texts]
        options = dict(kwargs.pop("text_kwargs", {}))
        options.update(
            {name: kwargs.pop(name) for name in ("suffix", "max_length") if name in kwargs}
        )
        suffix = options.pop("suffix", None)
        if options.get("max_length") is not None:  # pictures come on top
            options["max_length"] += self.image_seq_length
        options["return_token_type_ids"] = suffix is not None
        if suffix is not None:
            options["text_pair"] = self.endings(suffix, len(texts))
        made = super().__call__(images, texts, audio, videos, text_kwargs=options, **kwargs)
        if suffix is not None:
            made["labels"] = labels(made["input_ids"], made["token_type_ids"])
        return made

    def prefixed(self, texts: list[str], images: Any) -> list[str]:
        """Texts behind a token for each of their images, and the token that begins a text."""
        groups = images if isinstance(images, list | tuple) else [images]
        if len(texts) == 1 and all(is_valid_image(one) for one in groups):
            groups = [groups]
        if len(groups) != len(texts):
            raise ProcessorError(
                f"images: {len(groups)} for {len(texts)} texts; give each text one, or a list."
            )
        counts = [len(group) if isinstance(group, list | tuple) else 1 for group in groups]
        begin = self.tokenizer.bos_token or ""
        return [
            self.image_token * count + begin + one for one, count in zip(texts, counts, strict=True)
        ]

    def endings(self, suffix: Any, count: int) -> list[str]:
        """A suffix for each text, with the token that ends it."""
        suffixes = list_of_texts(suffix)
        if len(suffixes) != count:
            raise ProcessorError(
                f"suffix: {len(suffixes)} for {count} texts; give one for each text."
            )
        return [one + (self.tokenizer.eos_token or "") for one in suffixes]

    def image_texts(self, images: BatchFeature) -> list[str]:
        """Image tokens of each picture."""
        return [self.image_token * self.image_seq_length] * len(images["pixel_values"])


def labels(ids: Any, kinds: Any) -> Any:
    """The `ids` where `kinds` are 1, elsewhere what losses ignore; nested lists stay lists."""
    if isinstance(ids, list):
        return [labels(one, kind) for one, kind in zip(ids, kinds, strict=True)]
    if hasattr(ids, "masked_fill"):
        return ids.masked_fill(kinds == 0, IGNORED)
    if hasattr(ids, "copy"):
        made = ids.copy()
        made[kinds == 0] = IGNORED
        return made
    return ids if kinds else IGNORED
