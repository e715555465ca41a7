"""InstructBLIP's processor for videos."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import AddedToken

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_vision.blip.processing import TEXT_DEFAULTS
from dovetail_models_vision.instructblip.processing import InstructedProcessor


class InstructBlipVideoProcessor(InstructedProcessor):
    """An `InstructBlipVideoImageProcessor` and two tokenizers as one object."""

    image_processor_class: ClassVar[str] = "InstructBlipVideoImageProcessor"
    kind = "video"

    @property
    def video_token(self) -> AddedToken:
        """The token in whose places videos are put."""
        return self.placeholder

    def __call__(
        self, images: Any = None, text: Any = None, return_tensors: Any = None, **kwargs: Any
    ) -> BatchFeature:
        """``input_ids`` and ``qformer_input_ids`` of `text`, with their masks, and ``pixel_values``
        (B, F, C, H, W) of the videos `images`, of either alone as well; `kwargs` go to the
        tokenizers.

        Raises:
            ProcessorError: there is neither, or not as many videos as texts or placeholders.
        """
        if images is None and text is None:
            raise ProcessorError(f"{type(self).__name__} needs images, text or both; got neither.")
        seen: dict[str, Any] = {}
        if images is not None:
            seen |= self.image_processor(images, return_tensors=return_tensors)
        read: dict[str, Any] = {}
        if text is not None:
            videos = seen.get("pixel_values", ())
            options = {**TEXT_DEFAULTS, **kwargs, "return_tensors": return_tensors}
            frames = len(videos[0]) if len(videos) else 1
            read = self.read(text, len(videos), frames, options)
        return BatchFeature({**read, **seen})
