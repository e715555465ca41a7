"""Configuration of LLaVA-NeXT-Video."""

from __future__ import annotations

from typing import ClassVar, Literal

from dovetail.config_fields import Size, TokenId
from dovetail_models_vision.llava_next.configuration import TiledFields


class LlavaNextVideoConfig(TiledFields):
    """As `LlavaNextConfig`; frames of videos stand at tokens `video_token_index`, after
    `spatial_pool_mode` made one of `spatial_pool_stride` by as many patches."""

    model_type: ClassVar[str] = "llava_next_video"

    image_token_index: TokenId = 32001
    video_token_index: TokenId = 32000
    spatial_pool_mode: Literal["average", "max", "conv"] = "average"
    spatial_pool_stride: Size = 2
    image_seq_length: Size = 576
    video_seq_length: Size = 288
