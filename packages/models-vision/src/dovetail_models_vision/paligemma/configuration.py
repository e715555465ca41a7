"""Configuration of PaliGemma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dovetail.config_fields import Size, TokenId
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig

VOCABULARY = 257152


class PaliGemmaConfig(VisionLanguageConfig):
    """A SigLIP encoder, a Gemma, and the width `projection_dim` in which they meet; the defaults
    are those of ``google/paligemma-3b-pt-224``.

    Features take the places of tokens `image_token_index`. They are divided by the root of
    `hidden_size`, by which the language model multiplies what it reads.
    """

    model_type: ClassVar[str] = "paligemma"
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "vision_config": {
            "model_type": "siglip_vision_model",
            "intermediate_size": 4096,
            "hidden_size": 1152,
            "patch_size": 14,
            "image_size": 224,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "vocab_size": VOCABULARY,
            "vision_use_head": False,
        },
        "text_config": {
            "model_type": "gemma",
            "hidden_size": 2048,
            "num_hidden_layers": 18,
            "intermediate_size": 16384,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "is_encoder_decoder": False,
            "vocab_size": VOCABULARY,
        },
    }

    vision_config: Any = None
    text_config: Any = None
    ignore_index: int = -100
    image_token_index: TokenId = 256000
    vocab_size: Size = VOCABULARY
    projection_dim: Size = 2048
    hidden_size: Size = 2048

    def derive(self) -> None:
        """What the parts are told."""
        vision = self.vision_config
        self.text_config.num_image_tokens = (vision.image_size // vision.patch_size) ** 2
        vision.projection_dim = self.projection_dim
