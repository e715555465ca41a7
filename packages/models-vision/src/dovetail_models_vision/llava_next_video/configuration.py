"""Configuration of LLaVA-NeXT-Video."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail.config_fields import Size, TokenId
from dovetail_models_vision.llava_next.configuration import PIN_POINTS, check_pin_points
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig


class LlavaNextVideoConfig(VisionLanguageConfig):
    """As `LlavaNextConfig`; frames of videos stand at tokens `video_token_index`, after
    `spatial_pool_mode` made one of `spatial_pool_stride` by as many patches."""

    model_type: ClassVar[str] = "llava_next_video"

    vision_config: Any = None
    text_config: Any = None
    ignore_index: int = -100
    image_token_index: TokenId = 32001
    projector_hidden_act: str = "gelu"
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    vision_feature_layer: int = -2
    image_grid_pinpoints: list[list[int]] | None = None
    tie_word_embeddings: bool = False
    video_token_index: TokenId = 32000
    spatial_pool_mode: Literal["average", "max", "conv"] = "average"
    spatial_pool_stride: Size = 2
    image_seq_length: Size = 576
    video_seq_length: Size = 288

    def derive(self) -> None:
        """The usual pin points, where none are given."""
        if self.image_grid_pinpoints is None:
            self.image_grid_pinpoints = [list(point) for point in PIN_POINTS]

    def check(self) -> None:
        """Refuse pin points that are no sizes."""
        check_pin_points(type(self).__name__, self.image_grid_pinpoints or ())
