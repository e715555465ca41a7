"""Configuration of VideoMAE."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class VideoMAEConfig(PretrainedConfig):
    """Sizes and constants of VideoMAE; the defaults are those of ``MCG-NJU/videomae-base``.

    A patch has `patch_size` pixels to each side in `tubelet_size` frames of `num_frames`. With
    `use_mean_pooling` a classifier sees the mean of all patches, otherwise the first. Pre-training
    paints pixels that are normalised in each patch with `norm_pix_loss`.
    """

    model_type: ClassVar[str] = "videomae"

    image_size: Size | list[Size] = 224
    patch_size: Size | list[Size] = 16
    num_channels: Size = 3
    num_frames: Size = 16
    tubelet_size: Size = 2
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    qkv_bias: bool = True
    use_mean_pooling: bool = True
    decoder_num_attention_heads: Size = 6
    decoder_hidden_size: Size = 384
    decoder_num_hidden_layers: LayerCount = 4
    decoder_intermediate_size: Size = 1536
    norm_pix_loss: bool = True

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the video."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)
        if self.decoder_hidden_size % self.decoder_num_attention_heads:
            raise ConfigError(
                f"decoder_num_attention_heads={self.decoder_num_attention_heads} does not divide "
                f"decoder_hidden_size={self.decoder_hidden_size}."
            )
        if self.num_frames < self.tubelet_size:
            raise ConfigError(
                f"tubelet_size={self.tubelet_size} is more than num_frames={self.num_frames}."
            )
