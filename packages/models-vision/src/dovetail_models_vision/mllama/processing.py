"""Llama 3.2 Vision's processor: tokens of a text see the pictures that stand before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ImagesKwargs, ProcessingKwargs
from dovetail_models_vision.images.formats import is_torch_tensor
from dovetail_models_vision.mllama.image_processing import pictures_of_texts
from dovetail_models_vision.vision_language.processing import (
    VisionLanguageProcessor,
    in_order,
    list_of_texts,
    no_pictures,
)


class MllamaImagesKwargs(ImagesKwargs, total=False):
    """What the image processor takes in a call."""

    do_convert_rgb: bool
    max_image_tiles: int


class MllamaProcessorKwargs(ProcessingKwargs, total=False):
    """Nothing but what is usual."""

    images_kwargs: MllamaImagesKwargs  # type: ignore[misc]


class MllamaProcessor(VisionLanguageProcessor):
    """A `MllamaImageProcessor` and a tokenizer."""

    image_processor_class: ClassVar[str] = "MllamaImageProcessor"
    tokenizer_class: ClassVar[str] = "PreTrainedTokenizerFast"
    kwargs_class = MllamaProcessorKwargs
    notes = ("num_tiles",)

    def __init__(
        self, image_processor: Any, tokenizer: Any, chat_template: str | None = None
    ) -> None:
        template = chat_template or getattr(tokenizer, "chat_template", None)
        super().__init__(image_processor, tokenizer, chat_template=template)

    @property
    def image_token(self) -> str:  # type: ignore[override]
        """The token that stands for a picture."""
        return getattr(self.tokenizer, "image_token", "<|image|>")

    @property
    def image_token_id(self) -> int:
        """Its id."""
        return self.tokenizer.convert_tokens_to_ids(self.image_token)

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """As for all processors; pictures in one list are dealt out to the texts in turn."""
        images, text = in_order(images, text)
        if text is not None:
            images = self.dealt(images, list_of_texts(text))
        return super().__call__(images, text, audio, videos, **kwargs)

    def dealt(self, images: Any, texts: list[str]) -> list[list[Any]] | None:
        """A list of `images` for each text; refuses a wrong number of them."""
        counts = [text.count(self.image_token) for text in texts]
        groups = [] if no_pictures(images) else pictures_of_texts(images)
        flat = [image for group in groups for image in group]
        if len(groups) == 1 < len(texts) and len(flat) == sum(counts):
            groups = [[flat.pop(0) for _ in range(count)] for count in counts]
        given = [len(group) for group in groups] or [0] * len(texts)
        if counts != given:
            raise ProcessorError(
                f"images: {given} given, and {self.image_token!r} stands {counts} times in the "
                "texts. Give a list of images for each text, one for each time."
            )
        return groups or None

    def written(self, texts: list[str], seen: Any, watched: Any) -> list[str]:
        """`texts` that begin with the first token, behind pictures at the start."""
        return [self.begun(text) for text in texts]

    def begun(self, text: str) -> str:
        """`text` with the tokenizer's first token, behind the pictures with which it starts."""
        begin, token = self.tokenizer.bos_token, self.image_token
        if begin is None or begin in text:
            return text
        rest = text
        while rest.startswith(token):
            rest = rest.removeprefix(token)
        return f"{text.removesuffix(rest) if rest else text}{begin}{rest}"

    def prepare_images(self, images: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of all pictures, those of each text in a row."""
        return self.image_processor(images, **options)

    def between(self, encoded: dict[str, Any], seen: Any) -> dict[str, Any]:
        """The tiles that each token sees."""
        if not seen:
            return {}
        ids = [list(map(int, row)) for row in encoded["input_ids"]]
        spans = [get_cross_attention_token_mask(row, self.image_token_id) for row in ids]
        most = seen["aspect_ratio_mask"].shape[-1]
        mask = convert_sparse_cross_attention_mask_to_dense(
            spans, seen["num_tiles"], most, max(map(len, ids))
        )
        tensor_type = "pt" if is_torch_tensor(seen["aspect_ratio_mask"]) else None
        return dict(BatchFeature({"cross_attention_mask": mask}, tensor_type=tensor_type))

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make, and of the mask between them."""
        names = [name for name in super().model_input_names if name != "num_tiles"]
        return [*names, "cross_attention_mask"]


def get_cross_attention_token_mask(
    input_ids: Sequence[int], image_token_id: int
) -> list[tuple[int, int]]:
    """From where to where tokens see each picture: up to the next, the last to the end (-1).
    Pictures that follow each other at once are seen as far as the last of them."""
    places = [place for place, token in enumerate(input_ids) if token == image_token_id]
    ends = [*places[1:], -1]
    for index in reversed(range(len(places) - 1)):
        if ends[index] == places[index] + 1:
            ends[index] = ends[index + 1]
    return list(zip(places, ends, strict=True))


def convert_sparse_cross_attention_mask_to_dense(
    cross_attention_token_mask: Sequence[Sequence[tuple[int, int]]],
    num_tiles: Sequence[Sequence[int]],
    max_num_tiles: int,
    length: int,
) -> np.ndarray:
    """The tiles that tokens see (texts, `length`, pictures, tiles), from spans of tokens."""
    most = max(len(row) for row in num_tiles)
    shape = (len(cross_attention_token_mask), length, most, max_num_tiles)
    mask = np.zeros(shape, np.int64)
    for row, (spans, counts) in enumerate(zip(cross_attention_token_mask, num_tiles, strict=True)):
        for picture, ((start, end), count) in enumerate(zip(spans, counts, strict=True)):
            mask[row, start : length if end == -1 else end, picture, :count] = 1
    return mask
