"""Configuration of SAM: image encoder, prompt encoder and mask decoder."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegative, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class SamPartConfig(PretrainedConfig):
    """What the configs of the image encoder and the prompt encoder have in common."""

    def check_patches(self, image_size: int, patch_size: int) -> None:
        """Refuse images that are no whole number of patches."""
        if image_size % patch_size:
            raise ConfigError(f"patch_size={patch_size} does not divide image_size={image_size}.")


class SamVisionConfig(SamPartConfig):
    """The image encoder: a ViT whose layers attend within windows, but for those in
    `global_attn_indexes`. `mlp_dim` is ``hidden_size * mlp_ratio`` unless given."""

    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 768
    output_channels: Size = 256
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    num_channels: Size = 3
    image_size: Size = 1024
    patch_size: Size = 16
    hidden_act: str = "gelu"
    layer_norm_eps: NonNegativeFloat = 1e-6
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 1e-10
    qkv_bias: bool = True
    mlp_ratio: NonNegativeFloat = 4.0
    use_abs_pos: bool = True
    use_rel_pos: bool = True
    window_size: NonNegative = 14
    global_attn_indexes: list[int] = [2, 5, 8, 11]  # noqa: RUF012 - copied for each instance
    num_pos_feats: Size = 128
    mlp_dim: Size | None = None

    def derive(self) -> None:
        """The width of the MLP."""
        if self.mlp_dim is None:
            self.mlp_dim = int(self.hidden_size * self.mlp_ratio)

    def check(self) -> None:
        """Refuse sizes that do not divide."""
        self.check_patches(self.image_size, self.patch_size)
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )


class SamPromptEncoderConfig(SamPartConfig):
    """The encoder of points, boxes and masks."""

    base_config_key: ClassVar[str] = "prompt_encoder_config"

    hidden_size: Size = 256
    image_size: Size = 1024
    patch_size: Size = 16
    mask_input_channels: Size = 16
    num_point_embeddings: Size = 4
    hidden_act: str = "gelu"
    layer_norm_eps: NonNegativeFloat = 1e-6

    def derive(self) -> None:
        """Patches along a side."""
        self.image_embedding_size = self.image_size // self.patch_size

    def check(self) -> None:
        """Refuse what leaves no channel or lacks a kind of point."""
        self.check_patches(self.image_size, self.patch_size)
        if self.mask_input_channels < 4:
            raise ConfigError(f"mask_input_channels={self.mask_input_channels} must be at least 4.")
        if self.num_point_embeddings < 4:
            raise ConfigError(
                f"num_point_embeddings={self.num_point_embeddings} must be at least 4: background "
                "and foreground points, and two corners of a box."
            )


class SamMaskDecoderConfig(PretrainedConfig):
    """The decoder of masks. `iou_head_depth` counts the linear layers of its prediction heads."""

    base_config_key: ClassVar[str] = "mask_decoder_config"

    hidden_size: Size = 256
    hidden_act: str = "relu"
    mlp_dim: Size = 2048
    num_hidden_layers: LayerCount = 2
    num_attention_heads: Size = 8
    attention_downsample_rate: Size = 2
    num_multimask_outputs: Size = 3
    iou_head_depth: Size = 3
    iou_head_hidden_dim: Size = 256
    layer_norm_eps: NonNegativeFloat = 1e-6

    def check(self) -> None:
        """Refuse head counts that do not divide the narrower attention, and widths that cannot be
        upscaled."""
        for rate in (2, self.attention_downsample_rate):
            width = self.hidden_size // rate
            if width == 0 or width % self.num_attention_heads:
                raise ConfigError(
                    f"num_attention_heads={self.num_attention_heads} does not divide {width}, "
                    f"which is hidden_size={self.hidden_size} over the attention's rate {rate}."
                )
        if self.hidden_size % 8:
            raise ConfigError(f"hidden_size={self.hidden_size} must be a multiple of 8.")


class SamConfig(PretrainedConfig):
    """A whole SAM; the defaults of its parts are those of ``facebook/sam-vit-base``."""

    model_type: ClassVar[str] = "sam"
    is_composition: ClassVar[bool] = True
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": SamVisionConfig,
        "prompt_encoder_config": SamPromptEncoderConfig,
        "mask_decoder_config": SamMaskDecoderConfig,
    }

    vision_config: Any = None
    prompt_encoder_config: Any = None
    mask_decoder_config: Any = None
    initializer_range: NonNegativeFloat = 0.02

    def check(self) -> None:
        """Refuse parts that do not fit each other."""
        vision, prompts = self.vision_config, self.prompt_encoder_config
        widths = {
            "vision_config.output_channels": vision.output_channels,
            "prompt_encoder_config.hidden_size": prompts.hidden_size,
            "mask_decoder_config.hidden_size": self.mask_decoder_config.hidden_size,
            "twice vision_config.num_pos_feats": 2 * vision.num_pos_feats,
        }
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"{name}={value}" for name, value in widths.items())
            raise ConfigError(f"These must be equal: {listed}.")
        for name in ("image_size", "patch_size"):
            if getattr(vision, name) != getattr(prompts, name):
                raise ConfigError(
                    f"vision_config.{name}={getattr(vision, name)} and prompt_encoder_config."
                    f"{name}={getattr(prompts, name)} must be equal."
                )
