"""Processors of vision-language models: placeholders in texts become as many tokens as pictures
take."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.hub import cached_file
from dovetail.processors import BatchFeature, ProcessingKwargs, ProcessorMixin
from dovetail.processors.kwargs import GROUPS, known_arguments
from dovetail.processors.preprocessor import split_options
from dovetail_models_vision.images.formats import is_valid_image, make_flat_list_of_images
from dovetail_models_vision.vision_language.chats import pictures_in

VIDEO_PART = "video_processor"
VIDEO_FILE = "video_preprocessor_config.json"
"""Where the settings for videos are; older folders have one file for both."""


class VisionLanguageProcessor(ProcessorMixin):
    """Base; see the package for what a family adds."""

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    valid_kwargs: ClassVar[list[str]] = ["chat_template"]
    image_processor_class: ClassVar[Any] = "AutoImageProcessor"
    tokenizer_class: ClassVar[Any] = "AutoTokenizer"
    kwargs_class: ClassVar[type] = ProcessingKwargs
    notes: ClassVar[tuple[str, ...]] = ()
    """What `prepare_images` says to `image_texts` alone."""
    image_token: str = "<image>"
    video_token: str = "<video>"
    image_processor: Any
    tokenizer: Any
    chat_template: Any

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        audio: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """The model's inputs for a text or several, with the `images` and `videos` whose
        placeholders they hold, in their order.

        `kwargs` go to the part that knows them, or are grouped: ``images_kwargs``,
        ``videos_kwargs``, ``text_kwargs``, ``common_kwargs``. Without text the pictures alone are
        prepared.

        Raises:
            ProcessorError: not as many pictures as placeholders, nothing given, or no text.
        """
        images, text = in_order(images, text)
        if audio is not None:
            raise ProcessorError(f"audio: {type(self).__name__} has no use for sound.")
        if text is None and images is None and videos is None:
            raise ProcessorError(f"{type(self).__name__} needs text, images or videos.")
        options = self._merge_kwargs(
            self.kwargs_class, tokenizer_init_kwargs=self.tokenizer.init_kwargs, **kwargs
        )
        images = None if no_pictures(images) else images
        if text is not None:
            text = list_of_texts(text)
            check_groups(text, self.image_token, images)
        videos = None if no_pictures(videos) else videos
        seen = {} if images is None else self.prepare_images(images, options["images_kwargs"])
        watched = {} if videos is None else self.prepare_videos(videos, options["videos_kwargs"])
        encoded: dict[str, Any] = {}
        if text is not None:
            texts = self.written(text, seen, watched)
            encoded = dict(self.tokenizer(texts, **options["text_kwargs"]))
            encoded |= self.between(encoded, seen)
        for name in self.notes:
            seen.pop(name, None)
        return BatchFeature({**encoded, **seen, **watched})

    def _save_part(self, name: str, part: Any, folder: Path) -> None:
        if name == VIDEO_PART:  # the images' settings have the file with the usual name
            part.to_json_file(folder / VIDEO_FILE)
        else:
            super()._save_part(name, part, folder)

    @classmethod
    def _load_part(cls, name: str, source: str | os.PathLike[str], **kwargs: Any) -> Any:
        hub, _ = split_options(kwargs)
        own = name == VIDEO_PART and cached_file(source, VIDEO_FILE, raise_on_missing=False, **hub)
        return super()._load_part(name, own or source, **kwargs)

    def written(self, texts: list[str], seen: Any, watched: Any) -> list[str]:
        """`texts` with all placeholders replaced: those of the images `seen`, prepared, and of the
        videos `watched`."""
        texts = expand(texts, self.image_token, self.image_texts(seen) if seen else [], "images")
        if not self.takes_videos:
            return texts
        writings = self.video_texts(watched) if watched else []
        return expand(texts, self.video_token, writings, "videos")

    def between(self, encoded: dict[str, Any], seen: Any) -> dict[str, Any]:
        """Further inputs that follow from the `encoded` texts and the images `seen` together."""
        return {}

    def prepare_images(self, images: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of all images; lists of lists are one for each text."""
        return self.image_processor(make_flat_list_of_images(images), **options)

    def prepare_videos(self, videos: Any, options: dict[str, Any]) -> BatchFeature:
        """What the video processor makes of all videos."""
        if not self.takes_videos:
            raise ProcessorError(f"videos: {type(self).__name__} takes images only.")
        return self.video_processor(videos, **options)  # type: ignore[attr-defined]

    @property
    def takes_videos(self) -> bool:
        """Whether there is a part for videos."""
        return VIDEO_PART in self.attributes

    def image_texts(self, images: BatchFeature) -> list[str]:
        """What stands in the text for each of the prepared `images`."""
        raise ProcessorError(f"{type(self).__name__} does not say what images are in a text.")

    def video_texts(self, videos: BatchFeature) -> list[str]:
        """What stands in the text for each of the prepared `videos`."""
        raise ProcessorError(f"{type(self).__name__} does not say what videos are in a text.")

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        tokenize: bool = False,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """A conversation, or several, as text; with `tokenize` as ids, and with `return_dict`, too,
        as all inputs of the model.

        The content of a message is a text or a list of ``{"type": "text", "text": ...}``,
        ``{"type": "image", "image": ...}`` (a picture; also ``url``, ``path`` or ``base64``) and
        ``{"type": "video", "video": ...}`` (frames; also ``path``). `kwargs` that a part of the
        processor knows are for it (``num_frames`` and ``video_fps`` say which frames of a file are
        read), all others are variables of the template.

        Raises:
            ProcessorError: there is no template, or a picture cannot be loaded.
        """
        if not tokenize:
            return super().apply_chat_template(conversation, chat_template, **kwargs)
        reading = {name: kwargs.pop(name, None) for name in ("num_frames", "video_fps")}
        known = self.call_arguments()
        options = {name: kwargs.pop(name) for name in list(kwargs) if name in known}
        text = super().apply_chat_template(conversation, chat_template, **kwargs)
        images, videos = pictures_in(conversation, **reading)
        first = text if isinstance(text, str) else text[0]
        begin = self.tokenizer.bos_token
        if begin is not None and first.startswith(begin):
            options.setdefault("add_special_tokens", False)
        made = self(text=text, images=images or None, videos=videos or None, **options)
        return made if return_dict else made["input_ids"]

    def call_arguments(self) -> set[str]:
        """The names of the arguments of a call, groups and all."""
        flat = frozenset().union(*known_arguments(self.kwargs_class).values())
        return {*flat, *GROUPS, "common_kwargs", "return_tensors"}

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        parts = [self.tokenizer, *(part for part in self.parts if part is not self.tokenizer)]
        return list(dict.fromkeys(name for part in parts for name in part.model_input_names))


def in_order(images: Any, text: Any) -> tuple[Any, Any]:
    """`images` and `text`; swapped when they were given the other way round, as was once usual."""
    if is_text(images) and not is_text(text):
        return text, images
    return images, text


def is_text(given: Any) -> bool:
    """Whether it is a text or a list of texts."""
    return isinstance(given, str) or (
        isinstance(given, list | tuple) and len(given) > 0 and is_text(given[0])
    )


def no_pictures(given: Any) -> bool:
    """Whether it is nothing, or an empty list."""
    return given is None or (isinstance(given, list | tuple) and len(given) == 0)


def list_of_texts(text: Any) -> list[str]:
    """One text or several as a list.

    Raises:
        ProcessorError: it is neither.
    """
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, list | tuple) or not all(isinstance(one, str) for one in texts):
        raise ProcessorError(f"text: give a text or a list of texts, not {str(text)[:80]!r}.")
    if not texts:
        raise ProcessorError("text: the list is empty; give at least one text.")
    return list(texts)


def expand(texts: Sequence[str], token: str, writings: Sequence[str], argument: str) -> list[str]:
    """`texts` with each `token` replaced by the next of `writings`, which may hold the token.

    Raises:
        ProcessorError: there are more or fewer tokens than `argument` has pictures.
    """
    counts = [text.count(token) for text in texts]
    if sum(counts) != len(writings):
        raise ProcessorError(
            f"{argument}: {len(writings)} given, and {token!r} stands {sum(counts)} times in text "
            f"({', '.join(map(str, counts))} in each). Write it once for each of the {argument}, "
            "where the model is to see it."
        )
    following = iter(writings)
    return [re.sub(re.escape(token), lambda _: next(following), text) for text in texts]


def check_groups(texts: Sequence[str], token: str, images: Any) -> None:
    """Refuse images in lists, one for each text, that do not fit the tokens of that text."""
    if not isinstance(images, list | tuple) or is_valid_image(images[0]):
        return
    groups = [len(group) if isinstance(group, list | tuple) else 1 for group in images]
    counts = [text.count(token) for text in texts]
    if len(groups) == len(counts) and groups != counts:
        raise ProcessorError(
            f"images: lists of {groups} pictures, and {token!r} stands {counts} times in the "
            "texts: give each text those that it speaks of."
        )
