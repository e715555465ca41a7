"""Configurations of Idefics3 and its image encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dovetail.config_fields import Size, TokenId, TokenIds
from dovetail_models_vision.idefics2.configuration import Idefics2VisionConfig
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig


class Idefics3VisionConfig(Idefics2VisionConfig):
    """Sizes and constants of Idefics3's image encoder, which is Idefics2's."""

    model_type: ClassVar[str] = "idefics3"

    hidden_size: Size = 1152
    num_attention_heads: Size = 16


class Idefics3Config(VisionLanguageConfig):
    """An image encoder and a text part of any architecture; the defaults are those of
    ``HuggingFaceM4/Idefics3-8B-Llama3``.

    Squares of `scale_factor` patches to each side become one token; features take the places of
    tokens `image_token_id`.
    """

    model_type: ClassVar[str] = "idefics3"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": "auto",
        "vision_config": Idefics3VisionConfig,
    }
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text_config": {"model_type": "llama", "rms_norm_eps": 1e-5, "pad_token_id": 128002}
    }

    use_cache: bool = True
    image_token_id: TokenId = 128257
    tie_word_embeddings: bool = False
    vision_config: Any = None
    text_config: Any = None
    scale_factor: Size = 2
    pad_token_id: TokenIds = 128002
