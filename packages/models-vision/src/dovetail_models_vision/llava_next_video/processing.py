"""LLaVA-NeXT-Video's processor: pictures in tiles, and frames of a quarter as many tokens as they
have patches."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.processors import BatchFeature
from dovetail_models_vision.llava_next.processing import LlavaNextProcessor

POOLED = 4
"""Patches for which a frame has one token."""


class LlavaNextVideoProcessor(LlavaNextProcessor):
    """A video processor, an image processor and a tokenizer; `patch_size` and
    `vision_feature_select_strategy` as in `LlavaProcessor`."""

    attributes: ClassVar[list[str]] = ["video_processor", "image_processor", "tokenizer"]
    valid_kwargs: ClassVar[list[str]] = [*LlavaNextProcessor.valid_kwargs, "video_token"]
    video_processor_class = "LlavaNextVideoImageProcessor"
    image_processor_class = "LlavaNextImageProcessor"
    tokenizer_class = "AutoTokenizer"

    def __init__(
        self,
        video_processor: Any = None,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        patch_size: int | None = None,
        vision_feature_select_strategy: str | None = None,
        video_token: str = "<video>",
        image_token: str = "<image>",
        **kwargs: Any,
    ) -> None:
        self.video_token = video_token
        super().__init__(
            image_processor,
            tokenizer,
            patch_size,
            vision_feature_select_strategy,
            chat_template,
            image_token,
            video_processor=video_processor,
        )

    def __call__(  # type: ignore[override] # the text comes first here
        self,
        text: Any = None,
        images: Any = None,
        videos: Any = None,
        padding: Any = False,
        truncation: Any = None,
        max_length: int | None = None,
        return_tensors: Any = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """As every processor's call; of tensors, unless `return_tensors` says otherwise."""
        options = {"padding": padding, "truncation": truncation, "max_length": max_length}
        kwargs |= {name: value for name, value in options.items() if value is not None}
        return super().__call__(images, text, None, videos, return_tensors=return_tensors, **kwargs)

    def video_texts(self, videos: BatchFeature) -> list[str]:
        """Tokens of all frames."""
        texts = []
        for frames in videos["pixel_values_videos"]:
            height, width = frames.shape[-2:]
            self.patches(height, width)  # says what is not set
            patches = (height // self.patch_size) * (width // self.patch_size)
            texts.append(self.video_token * (patches // POOLED * len(frames)))
        return texts
