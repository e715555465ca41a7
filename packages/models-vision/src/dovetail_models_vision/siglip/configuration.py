"""Configurations of SigLIP and its two halves."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail_models_vision.clip.configuration import TextAndVision
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class SiglipTextConfig(PretrainedConfig):
    """Sizes and constants of SigLIP's text encoder; the defaults are those of
    ``google/siglip-base-patch16-224``."""

    model_type: ClassVar[str] = "siglip_text_model"
    base_config_key: ClassVar[str] = "text_config"

    vocab_size: Size = 32000
    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    max_position_embeddings: Size = 64
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: NonNegativeFloat = 1e-6
    attention_dropout: Probability = 0.0
    pad_token_id: TokenIds = 1
    bos_token_id: TokenIds = 49406
    eos_token_id: TokenIds = 49407

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        check_heads(self.hidden_size, self.num_attention_heads)


class SiglipVisionConfig(PretrainedConfig):
    """Sizes and constants of SigLIP's image encoder; the defaults are those of
    ``google/siglip-base-patch16-224``. With ``vision_use_head=False`` it pools nothing."""

    model_type: ClassVar[str] = "siglip_vision_model"
    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    num_channels: Size = 3
    image_size: Size = 224
    patch_size: Size = 16
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: NonNegativeFloat = 1e-6
    attention_dropout: Probability = 0.0

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


class SiglipConfig(TextAndVision):
    """A whole SigLIP: two halves, which meet in the width of both."""

    model_type: ClassVar[str] = "siglip"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": SiglipTextConfig,
        "vision_config": SiglipVisionConfig,
    }

    text_config: Any = None
    vision_config: Any = None

    def derive(self) -> None:
        """Let fresh weights be as they are."""
        self.initializer_factor = 1.0
