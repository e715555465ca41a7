"""Configurations of OWL-ViT and its two halves."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import AnyFloat, Size, TokenIds
from dovetail_models_vision.clip.configuration import (
    TextAndVision,
    TextHalfConfig,
    VisionHalfConfig,
)


class OwlViTTextConfig(TextHalfConfig):
    """Sizes and constants of OWL-ViT's text encoder; the defaults are those of
    ``google/owlvit-base-patch32``. `initializer_factor` scales fresh weights."""

    model_type: ClassVar[str] = "owlvit_text_model"

    max_position_embeddings: Size = 16
    pad_token_id: TokenIds = 0


class OwlViTVisionConfig(VisionHalfConfig):
    """Sizes and constants of OWL-ViT's image encoder; the defaults are those of
    ``google/owlvit-base-patch32``. `initializer_factor` scales fresh weights."""

    model_type: ClassVar[str] = "owlvit_vision_model"

    image_size: Size = 768


class OwlViTConfig(TextAndVision):
    """A whole OWL-ViT: two halves, the width `projection_dim` in which they meet, and the logarithm
    `logit_scale_init_value` of what similarities are multiplied by before training."""

    model_type: ClassVar[str] = "owlvit"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": OwlViTTextConfig,
        "vision_config": OwlViTVisionConfig,
    }

    text_config: Any = None
    vision_config: Any = None
    projection_dim: Size = 512
    logit_scale_init_value: AnyFloat = 2.6592
    return_dict: bool = True

    def derive(self) -> None:
        """Let fresh projections be as they are: only the halves can scale theirs."""
        self.initializer_factor = 1.0
