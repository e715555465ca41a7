"""Configurations of Idefics2 and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenId,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class Idefics2VisionConfig(PretrainedConfig):
    """Sizes and constants of Idefics2's image encoder.

    It has a position for each patch of a square of `image_size` pixels.
    """

    model_type: ClassVar[str] = "idefics2"
    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    num_channels: Size = 3
    image_size: Size = 224
    patch_size: Size = 32
    hidden_act: str = "gelu_pytorch_tanh"
    layer_norm_eps: NonNegativeFloat = 1e-6
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


class Idefics2PerceiverConfig(PretrainedConfig):
    """Sizes and constants of the resampler, which makes `resampler_n_latents` tokens of a picture;
    `hidden_size` and `rms_norm_eps` are the text part's."""

    model_type: ClassVar[str] = "idefics2"
    base_config_key: ClassVar[str] = "perceiver_config"

    hidden_act: str = "silu"
    hidden_size: Size = 4096
    rms_norm_eps: PositiveFloat = 1e-6
    resampler_n_latents: Size = 64
    resampler_depth: LayerCount = 3
    resampler_n_heads: Size = 16
    resampler_head_dim: Size = 96
    num_key_value_heads: Size = 4
    attention_dropout: Probability = 0.0

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.resampler_n_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"resampler_n_heads={self.resampler_n_heads}."
            )


class Idefics2Config(VisionLanguageConfig):
    """An image encoder, a resampler and a text part of any architecture; the defaults are those of
    ``HuggingFaceM4/idefics2-8b``. Features take the places of tokens `image_token_id`."""

    model_type: ClassVar[str] = "idefics2"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": "auto",
        "perceiver_config": Idefics2PerceiverConfig,
        "vision_config": Idefics2VisionConfig,
    }
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text_config": {
            "model_type": "mistral",
            "max_position_embeddings": 4096 * 8,
            "rms_norm_eps": 1e-5,
            "pad_token_id": 0,
        }
    }

    use_cache: bool = True
    image_token_id: TokenId = 32001
    tie_word_embeddings: bool = False
    vision_config: Any = None
    perceiver_config: Any = None
    text_config: Any = None

    def derive(self) -> None:
        """Let the resampler be as wide as the text part."""
        text, perceiver = self.text_config, self.perceiver_config
        if text.hidden_size != perceiver.hidden_size:
            perceiver.hidden_size, perceiver.rms_norm_eps = text.hidden_size, text.rms_norm_eps
