"""LLaVA's processor: as many image tokens in a text as a picture has patches."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature, ProcessingKwargs
from dovetail_models_vision.vision_language.processing import VisionLanguageProcessor


class LlavaProcessorKwargs(ProcessingKwargs, total=False):
    """Texts are not padded unless that is asked for."""

    _defaults = {"text_kwargs": {"padding": False}, "images_kwargs": {}}  # type: ignore[misc] # noqa: RUF012


class LlavaProcessor(VisionLanguageProcessor):
    """An image processor and a tokenizer.

    `patch_size` and `vision_feature_select_strategy` are the model's: they say how many tokens a
    picture takes.
    """

    valid_kwargs: ClassVar[list[str]] = [
        "chat_template",
        "patch_size",
        "vision_feature_select_strategy",
        "image_token",
    ]
    kwargs_class = LlavaProcessorKwargs

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int | None = None,
        vision_feature_select_strategy: str | None = None,
        chat_template: str | None = None,
        image_token: str = "<image>",
        **kwargs: Any,
    ) -> None:
        self.patch_size = patch_size
        self.vision_feature_select_strategy = vision_feature_select_strategy
        self.image_token = image_token
        further = {name: kwargs[name] for name in self.attributes if name in kwargs}
        super().__init__(
            image_processor=image_processor,
            tokenizer=tokenizer,
            chat_template=chat_template,
            **further,
        )

    def image_texts(self, images: BatchFeature) -> list[str]:
        """One token for each patch."""
        pixels = images["pixel_values"]
        height, width = pixels[0].shape[-2:]
        return [self.image_token * self.patches(height, width)] * len(pixels)

    def patches(self, height: int, width: int) -> int:
        """How many tokens a picture of so many pixels takes.

        Raises:
            ProcessorError: `patch_size` or the strategy is not set.
        """
        for name in ("patch_size", "vision_feature_select_strategy"):
            if getattr(self, name) is None:
                raise ProcessorError(
                    f"{type(self).__name__}.{name} is None, so it is not known how many tokens a "
                    f"picture takes: set processor.{name} to that of the model's config."
                )
        first = self.vision_feature_select_strategy != "default"
        return (height // self.patch_size) * (width // self.patch_size) + first  # type: ignore[operator]
