"""LLaVA-NeXT-Video's videos: frame by frame what CLIP does with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dovetail import BatchFeature
from dovetail_models_vision.clip.image_processing import CLIPImageProcessor
from dovetail_models_vision.images.formats import ChannelDimension
from dovetail_models_vision.videos.formats import list_of_videos, stacked


class LlavaNextVideoImageProcessor(CLIPImageProcessor):
    """``pixel_values_videos`` of videos; `image_grid_pinpoints` are kept for the model's pictures,
    which another processor prepares."""

    model_input_names = ["pixel_values_videos"]
    image_grid_pinpoints: Sequence[Sequence[int]] | None = None

    def preprocess(
        self,
        images: Any,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values_videos`` (B, T, C, H, W): a video is a list of frames, or an array (T,
        ...)."""
        settings = self.settings(overrides)
        clips = [
            self.prepare(frames, settings, input_data_format) for frames in list_of_videos(images)
        ]
        name = "pixel_values_videos"
        result = self.output({name: clips}, None, data_format, (name,))
        return BatchFeature({name: stacked(result[name])}, tensor_type=return_tensors)
