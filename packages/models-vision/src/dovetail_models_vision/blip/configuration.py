"""Configurations of BLIP and its two halves."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    AnyFloat,
    LayerCount,
    NonNegativeFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail_models_vision.clip.configuration import TextAndVision
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class BlipTextConfig(PretrainedConfig):
    """Sizes and constants of BLIP's text encoder or decoder; the defaults are those of
    ``Salesforce/blip-vqa-base``.

    With `is_decoder` each layer can also attend to pictures, which are `encoder_hidden_size` wide.
    `label_smoothing` is how much of a target's probability goes to all other tokens.
    """

    model_type: ClassVar[str] = "blip_text_model"
    base_config_key: ClassVar[str] = "text_config"
    position_embedding_type: ClassVar[str] = "absolute"

    vocab_size: Size = 30524
    hidden_size: Size = 768
    encoder_hidden_size: Size = 768
    intermediate_size: Size = 3072
    projection_dim: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 8
    max_position_embeddings: Size = 512
    hidden_act: str = "gelu"
    layer_norm_eps: NonNegativeFloat = 1e-12
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    bos_token_id: TokenIds = 30522
    eos_token_id: TokenIds = 2
    pad_token_id: TokenIds = 0
    sep_token_id: TokenIds = 102
    is_decoder: bool = True
    use_cache: bool = True
    label_smoothing: Probability = 0.0

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        check_heads(self.hidden_size, self.num_attention_heads)


class BlipVisionConfig(PretrainedConfig):
    """Sizes and constants of BLIP's image encoder; the defaults are those of
    ``Salesforce/blip-vqa-base``."""

    model_type: ClassVar[str] = "blip_vision_model"
    base_config_key: ClassVar[str] = "vision_config"
    qkv_bias: ClassVar[bool] = True

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    projection_dim: Size = 512
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    image_size: Size = 384
    patch_size: Size = 16
    hidden_act: str = "gelu"
    layer_norm_eps: NonNegativeFloat = 1e-5
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 1e-10

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


class BlipConfig(TextAndVision):
    """A whole BLIP: two halves and the widths in which they meet, `projection_dim` of `BlipModel`
    and `image_text_hidden_size` of retrieval."""

    model_type: ClassVar[str] = "blip"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": BlipTextConfig,
        "vision_config": BlipVisionConfig,
    }

    text_config: Any = None
    vision_config: Any = None
    projection_dim: Size = 512
    logit_scale_init_value: AnyFloat = 2.6592
    image_text_hidden_size: Size = 256
    label_smoothing: Probability = 0.0

    def derive(self) -> None:
        """The text half attends to the image half's states."""
        self.text_config.encoder_hidden_size = self.vision_config.hidden_size
        self.initializer_factor = 1.0
        self.initializer_range = 0.02
