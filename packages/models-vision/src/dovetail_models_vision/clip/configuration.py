"""Configurations of CLIP and its two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from dovetail.config_fields import (
    AnyFloat,
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class TextHalfConfig(PretrainedConfig):
    """Sizes and constants of the text encoders of CLIP and its relatives."""

    base_config_key: ClassVar[str] = "text_config"

    vocab_size: Size = 49408
    hidden_size: Size = 512
    intermediate_size: Size = 2048
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 8
    max_position_embeddings: Size = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: NonNegativeFloat = 1e-5
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    initializer_factor: PositiveFloat = 1.0
    pad_token_id: TokenIds = 1
    bos_token_id: TokenIds = 49406
    eos_token_id: TokenIds = 49407

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        check_heads(self.hidden_size, self.num_attention_heads)


class VisionHalfConfig(PretrainedConfig):
    """Sizes and constants of the image encoders of CLIP and its relatives."""

    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    num_channels: Size = 3
    image_size: Size = 224
    patch_size: Size = 32
    hidden_act: str = "quick_gelu"
    layer_norm_eps: NonNegativeFloat = 1e-5
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    initializer_factor: PositiveFloat = 1.0

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


class CLIPTextConfig(TextHalfConfig):
    """Sizes and constants of CLIP's text encoder; the defaults are those of
    ``openai/clip-vit-base-patch32``. `initializer_factor` scales fresh weights."""

    model_type: ClassVar[str] = "clip_text_model"
    argument_moves: ClassVar[dict[str, str | None]] = {"projection_dim": "intermediate_size"}

    projection_dim: Size = 512


class CLIPVisionConfig(VisionHalfConfig):
    """Sizes and constants of CLIP's image encoder; the defaults are those of
    ``openai/clip-vit-base-patch32``. `initializer_factor` scales fresh weights."""

    model_type: ClassVar[str] = "clip_vision_model"
    argument_moves: ClassVar[dict[str, str | None]] = {"projection_dim": "intermediate_size"}

    projection_dim: Size = 512


class TextAndVision(PretrainedConfig):
    """Base of the configs with a text half and an image half."""

    is_composition: ClassVar[bool] = True

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        for name in type(self).sub_configs:  # old files repeat a half under a second name
            again = values.pop(f"{name}_dict", None)
            if isinstance(again, Mapping) and isinstance(values.get(name), Mapping | None):
                values[name] = {**(values.get(name) or {}), **again}
        super()._set_sub_configs(values)

    @classmethod
    def from_text_vision_configs(
        cls,
        text_config: PretrainedConfig | dict[str, Any],
        vision_config: PretrainedConfig | dict[str, Any],
        **kwargs: Any,
    ) -> Self:
        """The config of a model with these halves."""
        halves = {
            name: half if isinstance(half, dict) else half.to_dict()
            for name, half in (("text_config", text_config), ("vision_config", vision_config))
        }
        return cls(**halves, **kwargs)


class CLIPConfig(TextAndVision):
    """A whole CLIP: two halves, the width `projection_dim` in which they meet, and the logarithm
    `logit_scale_init_value` of what similarities are multiplied by before training."""

    model_type: ClassVar[str] = "clip"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": CLIPTextConfig,
        "vision_config": CLIPVisionConfig,
    }

    text_config: Any = None
    vision_config: Any = None
    projection_dim: Size = 512
    logit_scale_init_value: AnyFloat = 2.6592

    def derive(self) -> None:
        """Let fresh projections be as they are: only the halves can scale theirs."""
        self.initializer_factor = 1.0
