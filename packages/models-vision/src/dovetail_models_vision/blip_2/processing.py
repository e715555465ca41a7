"""BLIP-2's processor: pictures, texts, and the places that pictures take in texts."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import AddedToken

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ProcessorMixin
from dovetail_models_vision.blip.processing import (
    BlipProcessorKwargs,
    check_pictures_and_texts,
    flattened,
)
from dovetail_models_vision.vision_language.processing import check_groups, expand, list_of_texts


class QueryProcessor(ProcessorMixin):
    """Base of BLIP-2's and InstructBLIP's processors.

    Each picture takes `num_query_tokens` places in its text. They stand in front of everything
    else, or, in a text that holds the placeholder, where this stands, once for each picture.
    Without `num_query_tokens` texts stay as they are, and the model puts pictures in front.
    """

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    valid_kwargs: ClassVar[list[str]] = ["num_query_tokens"]
    image_processor_class: ClassVar[str] = "BlipImageProcessor"
    tokenizer_class: ClassVar[str] = "AutoTokenizer"
    kind: ClassVar[str] = "image"
    image_processor: Any
    tokenizer: Any

    def __init__(self, *parts: Any, num_query_tokens: int | None = None, **kwargs: Any) -> None:
        super().__init__(*parts, **kwargs)
        self.tokenizer.return_token_type_ids = False
        self.num_query_tokens = num_query_tokens
        if not hasattr(self.tokenizer, f"{self.kind}_token"):
            self.tokenizer.add_tokens([self.placeholder], special_tokens=True)

    @property
    def placeholder(self) -> AddedToken:
        """The token in whose places pictures are put."""
        own = getattr(self.tokenizer, f"{self.kind}_token", f"<{self.kind}>")
        return AddedToken(str(own), normalized=False, special=True)

    def check_groups(self, text: Any, images: Any) -> None:
        """Refuse pictures in lists, one for each text, that do not fit that text's placeholders."""
        texts, token = list_of_texts(text), self.placeholder.content
        if images and any(token in one for one in texts):
            check_groups(texts, token, images)

    def written(self, texts: list[str], pictures: int, places: int) -> list[str] | None:
        """`texts` with `places` tokens for each placeholder of the `pictures`; None where there are
        no placeholders.

        Raises:
            ProcessorError: there are not as many placeholders, or texts, as pictures.
        """
        token = self.placeholder.content
        if any(token in text for text in texts):
            return expand(texts, token, [token * places] * pictures, f"{self.kind}s")
        if len(texts) != pictures:
            raise ProcessorError(
                f"{self.kind}s: {pictures} given for {len(texts)} texts. Give one for each text, "
                f"or write {token!r} where each of several is to be seen."
            )
        return None

    def encode(
        self, texts: list[str], pictures: int, places: int, options: dict[str, Any]
    ) -> BatchFeature:
        """The tokens of `texts` with `places` for each of their `pictures`, if there are any."""
        options = dict(options)
        tensor_type = options.pop("return_tensors", None)
        if not pictures or self.num_query_tokens is None:
            return BatchFeature(self.tokenizer(texts, **options), tensor_type=tensor_type)
        written = self.written(texts, pictures, places)
        encoded = dict(self.tokenizer(written or texts, **options))
        if written is None:
            number = self.tokenizer.convert_tokens_to_ids(self.placeholder.content)
            front = {"input_ids": [number] * places, "attention_mask": [1] * places}
            for name, rows in encoded.items():
                encoded[name] = [front.get(name, [0] * places) + list(row) for row in rows]
        return BatchFeature(encoded, tensor_type=tensor_type)

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        names = self.tokenizer.model_input_names + self.image_processor.model_input_names
        return list(dict.fromkeys(names))


class Blip2Processor(QueryProcessor):
    """A `BlipImageProcessor` and the tokenizer of the language model as one object."""

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        num_query_tokens: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, num_query_tokens=num_query_tokens, **kwargs)

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
        """``input_ids`` with ``attention_mask`` of `text` and ``pixel_values`` of `images`, of
        either alone as well; `kwargs` go to the part that knows them.

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
        read: Any = {}
        if text is not None:  # texts get places before their pictures are there
            self.check_groups(text, images)
            texts, places = list_of_texts(text), self.num_query_tokens or 0
            count = len(texts) if images is None else len(seen["pixel_values"])
            read = self.encode(texts, count, places, options["text_kwargs"])
        return BatchFeature({**read, **seen})
