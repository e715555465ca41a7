"""InstructBLIP's processor: pictures, and texts through two tokenizers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from dovetail.auto import AutoTokenizer
from dovetail.processors import BatchFeature
from dovetail_models_vision.blip.processing import (
    BlipProcessorKwargs,
    check_pictures_and_texts,
    flattened,
)
from dovetail_models_vision.blip_2.processing import QueryProcessor
from dovetail_models_vision.vision_language.processing import list_of_texts

SUBFOLDER = "qformer_tokenizer"


class InstructedProcessor(QueryProcessor):
    """Base: an image processor, the tokenizer of the language model, and that of the Q-Former,
    which lies in a folder of its own."""

    qformer_tokenizer: Any

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        qformer_tokenizer: Any,
        num_query_tokens: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, num_query_tokens=num_query_tokens, **kwargs)
        self.qformer_tokenizer = qformer_tokenizer

    def to_dict(self) -> dict[str, Any]:
        """The settings that are the processor's own, not those of its parts."""
        return {name: value for name, value in super().to_dict().items() if name != SUBFOLDER}

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """As everywhere; the Q-Former's tokenizer in the folder ``qformer_tokenizer``."""
        self.qformer_tokenizer.save_pretrained(Path(save_directory) / SUBFOLDER)
        return super().save_pretrained(save_directory, push_to_hub, **kwargs)

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> list[Any]:
        parts = super()._get_arguments_from_pretrained(pretrained_model_name_or_path, **kwargs)
        own = AutoTokenizer.from_pretrained(
            pretrained_model_name_or_path, **{**kwargs, "subfolder": SUBFOLDER}
        )
        return [*parts, own]

    def read(
        self, text: Any, pictures: int, frames: int, options: dict[str, Any]
    ) -> dict[str, Any]:
        """``input_ids`` for the language model with places for `pictures` of so many `frames`, and
        ``qformer_input_ids``, an instruction for each picture, with their masks."""
        texts = list_of_texts(text)
        places = (self.num_query_tokens or 0) * frames
        encoded = dict(self.encode(texts, pictures, places, options))
        asked = self.qformer_tokenizer(self.instructions(texts, pictures), **options)
        for name in ("input_ids", "attention_mask"):
            encoded[f"qformer_{name}"] = asked[name]
        return encoded

    def instructions(self, texts: list[str], pictures: int) -> list[str]:
        """What the Q-Former reads: `texts` without placeholders, one for each of the `pictures`."""
        token = self.placeholder.content
        if not pictures or not any(token in text for text in texts):
            return texts
        return [
            " ".join(text.replace(token, " ").split())
            for text in texts
            for _ in range(text.count(token))
        ]

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        return [*super().model_input_names, "qformer_input_ids", "qformer_attention_mask"]


class InstructBlipProcessor(InstructedProcessor):
    """A `BlipImageProcessor` and two tokenizers as one object."""

    @property
    def image_token(self) -> AddedToken:
        """The token in whose places pictures are put."""
        return self.placeholder

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """``input_ids`` and ``qformer_input_ids`` of `text`, with their masks, and ``pixel_values``
        of `images`, of either alone as well; `kwargs` go to the part that knows them.

        Raises:
            ProcessorError: there is neither, or not as many images as texts or placeholders.
        """
        check_pictures_and_texts(self, images, text, audio, videos)
        options = self._merge_kwargs(
            BlipProcessorKwargs, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs
        )
        seen: dict[str, Any] = {}
        if images is not None:
            seen |= self.image_processor(flattened(images), **options["images_kwargs"])
        read: dict[str, Any] = {}
        if text is not None:
            count = len(seen.get("pixel_values", ()))
            self.check_groups(text, images)
            read = self.read(text, count, 1, options["text_kwargs"])
        return BatchFeature({**read, **seen})
