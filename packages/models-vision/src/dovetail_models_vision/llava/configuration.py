"""Configuration of LLaVA."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail.config_fields import Size, TokenId
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig


class LlavaFields(VisionLanguageConfig):
    """What the configs of LLaVA and its relatives have in common: a vision part, a text part, and
    what lies between them.

    The features of a picture are the hidden states of layer `vision_feature_layer`, without the
    first token with `vision_feature_select_strategy` ``"default"``. They take the places of tokens
    `image_token_index`.
    """

    vision_config: Any = None
    text_config: Any = None
    ignore_index: int = -100
    image_token_index: TokenId = 32000
    projector_hidden_act: str = "gelu"
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    vision_feature_layer: int = -2


class LlavaConfig(LlavaFields):
    """The config of LLaVA; the defaults are those of ``llava-hf/llava-1.5-7b-hf``. A picture takes
    `image_seq_length` tokens."""

    model_type: ClassVar[str] = "llava"

    image_seq_length: Size = 576
