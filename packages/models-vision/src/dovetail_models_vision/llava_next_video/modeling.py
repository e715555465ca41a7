"""LLaVA-NeXT-Video: LLaVA-NeXT that sees the frames of videos, too, each pooled to a quarter of its
patches.

B batch, T tokens, P pictures, M tiles, S videos, F frames, C channels, H height, W width, N
patches, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.llava_next.modeling import LlavaNextModel
from dovetail_models_vision.llava_next_video.configuration import LlavaNextVideoConfig
from dovetail_models_vision.vision_language.features import Visual


class LlavaNextVideoPooler(nn.Module):
    """Makes one feature of some patches side by side: their mean, maximum or convolution."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        stride, width = config.spatial_pool_stride, config.vision_config.hidden_size
        kinds = {
            "average": lambda: nn.AvgPool2d(stride, stride),
            "max": lambda: nn.MaxPool2d(stride, stride),
            "conv": lambda: nn.Conv2d(width, width, stride, stride),
        }
        self.pool = kinds[config.spatial_pool_mode]()

    def forward(self, features: Tensor) -> Tensor:
        """Features (F, N / stride², D) of frames (F, N, D) of square patches."""
        edge = isqrt(features.shape[1])
        if edge * edge != features.shape[1]:
            raise ValueError(
                f"A frame has {features.shape[1]} features, which are no square and cannot be "
                "pooled. Use vision_feature_select_strategy='default', without the first token."
            )
        maps = features.transpose(1, 2).unflatten(2, (edge, edge))
        return self.pool(maps).flatten(2).transpose(1, 2)


class LlavaNextVideoPreTrainedModel(PreTrainedModel):
    config_class = LlavaNextVideoConfig


class LlavaNextVideoForConditionalGeneration(LlavaNextModel, LlavaNextVideoPreTrainedModel):
    """Text about pictures of any size and videos."""

    visual_inputs = ("pixel_values_videos", *LlavaNextModel.visual_inputs)

    def build(self, config: Any) -> None:
        """Tower, projector, the feature at the end of a row, and the pooling of frames."""
        super().build(config)
        self.vision_resampler = LlavaNextVideoPooler(config)

    def encode(
        self,
        pixel_values: Tensor | None = None,
        image_sizes: Any = None,
        pixel_values_videos: Tensor | None = None,
        **selection: Any,
    ) -> Sequence[Visual]:
        """The features of pictures (P, M, C, H, W) of `image_sizes` (P, 2) and of videos (S, F, C,
        H, W)."""
        seen = [*super().encode(pixel_values, image_sizes, **selection)]
        if pixel_values_videos is not None:
            features = torch.cat(self.get_video_features(pixel_values_videos, **selection))
            seen.append(Visual("video", self.config.video_token_index, features.flatten(0, 1)))
        return seen

    def get_video_features(
        self,
        pixel_values: Tensor,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
    ) -> tuple[Tensor, ...]:
        """Projected features (F, N / stride², D) of each of the videos (S, F, C, H, W).

        Raises:
            ValueError: the videos have other dimensions.
        """
        if pixel_values.dim() != 5:
            raise ValueError(
                f"pixel_values_videos have the shape {tuple(pixel_values.shape)}: give videos "
                "(batch, frames, channels, height, width)."
            )
        frames = pixel_values.flatten(0, 1)
        features = self.select(frames, vision_feature_layer, vision_feature_select_strategy)
        features = self.multi_modal_projector(self.vision_resampler(features))
        return features.split(pixel_values.shape[1])

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None,
        image_sizes: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with pictures (P, M, C, H, W) of `image_sizes` (P, 2)
        and videos (S, F, C, H, W), each kind in the order of its tokens; `labels` (B, T) give the
        loss, in which padding does not count."""
        visual = {
            "pixel_values": pixel_values,
            "image_sizes": image_sizes,
            "pixel_values_videos": pixel_values_videos,
            "vision_feature_layer": vision_feature_layer,
            "vision_feature_select_strategy": vision_feature_select_strategy,
        }
        text = (input_ids, attention_mask, inputs_embeds, labels, position_ids, past_key_values)
        return self.run(visual, *text, **kwargs)
