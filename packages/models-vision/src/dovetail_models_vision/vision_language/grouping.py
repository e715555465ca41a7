"""Processors whose images are lists, one for each text."""

from __future__ import annotations

from typing import Any

from dovetail.processors import BatchFeature
from dovetail_models_vision.images.groups import grouped
from dovetail_models_vision.images.loading import load_image
from dovetail_models_vision.vision_language.processing import (
    VisionLanguageProcessor,
    in_order,
    is_text,
)


class GroupingProcessor(VisionLanguageProcessor):
    """Base of processors that keep the images of a text together."""

    def __call__(
        self, images: Any = None, text: Any = None, *args: Any, **kwargs: Any
    ) -> BatchFeature:
        """As everywhere; `images` are lists for each text, or as many in one list as the texts have
        tokens. Addresses and paths of images are loaded."""
        images, text = in_order(images, text)
        images = fetched(images)
        if images is not None and is_text(text):
            texts = [text] if isinstance(text, str) else text
            images = grouped(images, [one.count(self.image_token) for one in texts])
        return super().__call__(images, text, *args, **kwargs)


def fetched(images: Any) -> Any:
    """Images, of which those in nested lists that are addresses or paths are loaded."""
    if isinstance(images, list | tuple):
        return [fetched(one) for one in images]
    return load_image(images) if isinstance(images, str) else images
