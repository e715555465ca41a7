"""Qwen2-VL's processor: as many image or video tokens in a text as a picture has blocks."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.processors import BatchFeature, ImagesKwargs, ProcessingKwargs
from dovetail_models_vision.vision_language.processing import VisionLanguageProcessor


class Qwen2VLImagesKwargs(ImagesKwargs, total=False):
    """What the image processor takes in a call."""

    do_convert_rgb: bool
    min_pixels: int
    max_pixels: int
    patch_size: int
    temporal_patch_size: int
    merge_size: int


class Qwen2VLProcessorKwargs(ProcessingKwargs, total=False):
    """Texts are not padded unless that is asked for."""

    images_kwargs: Qwen2VLImagesKwargs  # type: ignore[misc]
    videos_kwargs: Qwen2VLImagesKwargs  # type: ignore[misc]
    _defaults = {"text_kwargs": {"padding": False}}  # type: ignore[misc] # noqa: RUF012


class Qwen2VLProcessor(VisionLanguageProcessor):
    """A `Qwen2VLImageProcessor`, for images and videos, and a `Qwen2Tokenizer`."""

    image_processor_class: ClassVar[str] = "Qwen2VLImageProcessor"
    tokenizer_class: ClassVar[tuple[str, str]] = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
    kwargs_class = Qwen2VLProcessorKwargs
    image_token = "<|image_pad|>"
    video_token = "<|video_pad|>"

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        template = chat_template or getattr(tokenizer, "chat_template", None)
        super().__init__(image_processor, tokenizer, chat_template=template)

    @property
    def takes_videos(self) -> bool:
        """Always: the image processor prepares them."""
        return True

    def prepare_videos(self, videos: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of all videos."""
        return self.image_processor(videos=videos, **options)

    def image_texts(self, images: BatchFeature) -> list[str]:
        """Image tokens of each image."""
        return self.repeated(self.image_token, images["image_grid_thw"])

    def video_texts(self, videos: BatchFeature) -> list[str]:
        """Video tokens of each video."""
        return self.repeated(self.video_token, videos["video_grid_thw"])

    def repeated(self, token: str, grids: Any) -> list[str]:
        """`token` as often as each picture, of (time, height, width) patches, has blocks."""
        block = self.image_processor.merge_size**2
        return [token * (int(grid.prod()) // block) for grid in grids]
