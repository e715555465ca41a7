"""Configuration of DINOv2."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_backbone import BackboneConfigMixin
from dovetail.config_fields import AnyFloat, LayerCount, NonNegativeFloat, Probability, Size
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class Dinov2Config(BackboneConfigMixin):
    """Sizes and constants of DINOv2; the defaults are those of ``facebook/dinov2-base``.

    `layerscale_value` is what each block's output is multiplied by before training,
    `drop_path_rate` the probability of leaving a block out while training. As a backbone,
    `apply_layernorm` norms feature maps and `reshape_hidden_states` makes images of their tokens.
    """

    model_type: ClassVar[str] = "dinov2"

    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    mlp_ratio: Size = 4
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-6
    image_size: Size | list[Size] = 224
    patch_size: Size | list[Size] = 16
    num_channels: Size = 3
    qkv_bias: bool = True
    layerscale_value: AnyFloat = 1.0
    drop_path_rate: Probability = 0.0
    use_swiglu_ffn: bool = False
    out_features: list[str] | None = None
    out_indices: list[int] | None = None
    apply_layernorm: bool = True
    reshape_hidden_states: bool = True

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)
