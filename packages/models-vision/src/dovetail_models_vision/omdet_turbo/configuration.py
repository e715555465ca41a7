"""Configuration of OmDet-Turbo."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail import registry
from dovetail.config_fields import LayerCount, NonNegative, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class OmDetTurboConfig(PretrainedConfig):
    """Sizes of an OmDet-Turbo; the defaults are those of ``omlab/omdet-turbo-swin-tiny-hf``, whose
    backbone is a network of the ``timm`` package."""

    model_type: ClassVar[str] = "omdet-turbo"
    attribute_map: ClassVar[dict[str, str]] = {
        "encoder_hidden_dim": "d_model",
        "num_attention_heads": "encoder_attention_heads",
    }
    argument_names: ClassVar[dict[str, str]] = {"d_model": "encoder_hidden_dim"}
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": "auto", "text_config": "auto"}

    text_config: Any = None
    backbone_config: Any = None
    use_timm_backbone: bool = True
    backbone: str | None = "swin_tiny_patch4_window7_224"
    backbone_kwargs: dict[str, Any] | None = None
    use_pretrained_backbone: bool = False
    apply_layernorm_after_vision_backbone: bool = True
    image_size: Size = 640
    disable_custom_kernels: bool = False
    layer_norm_eps: NonNegativeFloat = 1e-5
    batch_norm_eps: NonNegativeFloat = 1e-5
    init_std: NonNegativeFloat = 0.02
    text_projection_in_dim: Size = 512
    text_projection_out_dim: Size = 512
    task_encoder_hidden_dim: Size = 1024
    class_embed_dim: Size = 512
    class_distance_type: Literal["cosine", "dot"] = "cosine"
    num_queries: Size = 900
    csp_activation: str = "silu"
    conv_norm_activation: str = "gelu"
    encoder_feedforward_activation: str = "relu"
    encoder_feedforward_dropout: Probability = 0.0
    encoder_dropout: Probability = 0.0
    hidden_expansion: NonNegativeFloat = 1
    vision_features_channels: list[Size] = [256, 256, 256]  # noqa: RUF012 - copied
    d_model: Size = 256
    encoder_in_channels: list[Size] = [192, 384, 768]  # noqa: RUF012 - copied
    encoder_projection_indices: list[NonNegative] = [2]  # noqa: RUF012 - copied
    encoder_attention_heads: Size = 8
    encoder_dim_feedforward: Size = 2048
    encoder_layers: LayerCount = 1
    positional_encoding_temperature: Size = 10000
    num_feature_levels: Size = 3
    decoder_hidden_dim: Size = 256
    decoder_num_heads: Size = 8
    decoder_num_layers: Size = 6
    decoder_activation: str = "relu"
    decoder_dim_feedforward: Size = 2048
    decoder_num_points: Size = 4
    decoder_dropout: Probability = 0.0
    eval_size: list[Size] | None = None
    learn_initial_query: bool = False
    cache_size: NonNegative = 100
    is_encoder_decoder: bool = True

    def derive(self) -> None:
        """CLIP's text encoder of 12 layers of 512, when nothing is said of the text half, and what
        a timm network is told."""
        if self.use_timm_backbone and self.backbone_kwargs is None:
            self.backbone_kwargs = {
                "out_indices": [1, 2, 3],
                "img_size": self.image_size,
                "always_partition": True,
            }
        if self.text_config is None:
            self.text_config = registry.resolve(registry.models().get("clip_text_model").config)()

    def check(self) -> None:
        """Refuse parts that do not fit together."""
        if self.decoder_hidden_dim != self.d_model:
            raise ConfigError(
                f"decoder_hidden_dim={self.decoder_hidden_dim} must be encoder_hidden_dim="
                f"{self.d_model}: queries read the maps with projections of that width."
            )
