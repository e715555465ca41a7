"""Configuration of ViT."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class ViTConfig(PretrainedConfig):
    """Sizes and constants of a Vision Transformer; the defaults are those of
    ``google/vit-base-patch16-224``.

    Sizes of images and patches are one number, or height and width. `encoder_stride` is how many
    pixels, to each side, the head of masked image modelling makes of a patch.
    """

    model_type: ClassVar[str] = "vit"

    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    image_size: Size | list[Size] = 224
    patch_size: Size | list[Size] = 16
    num_channels: Size = 3
    qkv_bias: bool = True
    encoder_stride: Size = 16

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


def check_heads(hidden_size: int, num_attention_heads: int) -> None:
    """Refuse a number of heads that does not divide the width."""
    if hidden_size % num_attention_heads:
        raise ConfigError(
            f"num_attention_heads={num_attention_heads} does not divide hidden_size={hidden_size}."
        )


def check_patches(image_size: int | list[int], patch_size: int | list[int]) -> None:
    """Refuse sizes that are no height and width, and images without a patch."""
    sides = [[size] * 2 if isinstance(size, int) else size for size in (image_size, patch_size)]
    if any(len(side) != 2 for side in sides):
        raise ConfigError(
            f"image_size={image_size} and patch_size={patch_size} must be numbers, or height and "
            "width."
        )
    if any(image < patch for image, patch in zip(*sides, strict=True)):
        raise ConfigError(f"patch_size={patch_size} is larger than image_size={image_size}.")
