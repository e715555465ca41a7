"""Configurations of InstructBLIP for videos: InstructBLIP's under other names."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import TokenId
from dovetail_models_vision.blip_2.configuration import QueryingConfig
from dovetail_models_vision.instructblip import configuration as pictures


class InstructBlipVideoVisionConfig(pictures.InstructBlipVisionConfig):
    """Sizes and constants of the encoder of frames."""

    model_type: ClassVar[str] = "instructblipvideo_vision_model"


class InstructBlipVideoQFormerConfig(pictures.InstructBlipQFormerConfig):
    """Sizes and constants of the Q-Former."""

    model_type: ClassVar[str] = "instructblipvideo_qformer"


class InstructBlipVideoConfig(QueryingConfig):
    """A whole InstructBLIP for videos. `video_token_index` is the token in whose places videos are
    put, None where they go in front of the text."""

    model_type: ClassVar[str] = "instructblipvideo"
    sub_configs: ClassVar[dict[str, Any]] = {
        "qformer_config": InstructBlipVideoQFormerConfig,
        "text_config": "auto",
        "vision_config": InstructBlipVideoVisionConfig,
    }

    video_token_index: TokenId | None = None
