"""Configurations of InstructBLIP and its parts: BLIP-2's, with a Q-Former that reads texts."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import TokenId
from dovetail_models_vision.blip_2.configuration import (
    Blip2VisionConfig,
    QFormerConfig,
    QueryingConfig,
)


class InstructBlipVisionConfig(Blip2VisionConfig):
    """Sizes and constants of the image encoder; the defaults are those of
    ``Salesforce/instructblip-flan-t5-xl``."""

    model_type: ClassVar[str] = "instructblip_vision_model"


class InstructBlipQFormerConfig(QFormerConfig):
    """Sizes and constants of the Q-Former."""

    model_type: ClassVar[str] = "instructblip_qformer"


class InstructBlipConfig(QueryingConfig):
    """A whole InstructBLIP. `image_token_index` is the token in whose places pictures are put, None
    where they go in front of the text."""

    model_type: ClassVar[str] = "instructblip"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": InstructBlipVisionConfig,
        "qformer_config": InstructBlipQFormerConfig,
        "text_config": "auto",
    }

    image_token_index: TokenId | None = None
