"""Configuration of LLaVA."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail.config_fields import Size, TokenId
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig


class LlavaConfig(VisionLanguageConfig):
    """A vision part, a text part, and what lies between them; the defaults are those of
    ``llava-hf/llava-1.5-7b-hf``.

    The features of a picture are the hidden states of layer `vision_feature_layer`, without the
    first token with `vision_feature_select_strategy` ``"default"``. They take the places of tokens
    `image_token_index`, `image_seq_length` for each picture.
    """

    model_type: ClassVar[str] = "llava"

    vision_config: Any = None
    text_config: Any = None
    ignore_index: int = -100
    image_token_index: TokenId = 32000
    projector_hidden_act: str = "gelu"
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    vision_feature_layer: int = -2
    image_seq_length: Size = 576
