"""Configuration of RT-DETR."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_backbone import verify_backbone_config_arguments
from dovetail.config_fields import LayerCount, NonNegative, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_vision.rt_detr_resnet.configuration import RTDetrResNetConfig


class RTDetrConfig(PretrainedConfig):
    """Sizes of an RT-DETR and weights of its losses; the defaults are those of
    ``PekingU/rtdetr_r50vd``.

    With ``auxiliary_loss`` the field's release that this library follows trains by the decoder's
    layers but the last but one, and not by what the encoder proposes. Set `train_every_layer` to
    train by all of them, as the paper does.
    """

    model_type: ClassVar[str] = "rt_detr"
    layer_types: ClassVar[list[str]] = ["basic", "bottleneck"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
    }
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": "auto"}
    train_every_layer = False

    initializer_range: NonNegativeFloat = 0.01
    initializer_bias_prior_prob: Probability | None = None
    layer_norm_eps: NonNegativeFloat = 1e-5
    batch_norm_eps: NonNegativeFloat = 1e-5
    backbone_config: Any = None
    backbone: str | None = None
    use_pretrained_backbone: bool = False
    use_timm_backbone: bool = False
    freeze_backbone_batch_norms: bool = True
    backbone_kwargs: dict[str, Any] | None = None
    encoder_hidden_dim: Size = 256
    encoder_in_channels: list[Size] = [512, 1024, 2048]  # noqa: RUF012 - copied
    feat_strides: list[Size] = [8, 16, 32]  # noqa: RUF012 - copied
    encoder_layers: LayerCount = 1
    encoder_ffn_dim: Size = 1024
    encoder_attention_heads: Size = 8
    dropout: Probability = 0.0
    activation_dropout: Probability = 0.0
    encode_proj_layers: list[NonNegative] = [2]  # noqa: RUF012 - copied
    positional_encoding_temperature: Size = 10000
    encoder_activation_function: str = "gelu"
    activation_function: str = "silu"
    eval_size: list[Size] | None = None
    normalize_before: bool = False
    hidden_expansion: NonNegativeFloat = 1.0
    d_model: Size = 256
    num_queries: Size = 300
    decoder_in_channels: list[Size] = [256, 256, 256]  # noqa: RUF012 - copied
    decoder_ffn_dim: Size = 1024
    num_feature_levels: Size = 3
    decoder_n_points: Size = 4
    decoder_layers: Size = 6
    decoder_attention_heads: Size = 8
    decoder_activation_function: str = "relu"
    attention_dropout: Probability = 0.0
    num_denoising: NonNegative = 100
    label_noise_ratio: Probability = 0.5
    box_noise_scale: NonNegativeFloat = 1.0
    learn_initial_query: bool = False
    anchor_image_size: list[Size] | None = None
    disable_custom_kernels: bool = True
    with_box_refine: bool = True
    is_encoder_decoder: bool = True
    matcher_alpha: NonNegativeFloat = 0.25
    matcher_gamma: NonNegativeFloat = 2.0
    matcher_class_cost: NonNegativeFloat = 2.0
    matcher_bbox_cost: NonNegativeFloat = 5.0
    matcher_giou_cost: NonNegativeFloat = 2.0
    use_focal_loss: bool = True
    auxiliary_loss: bool = True
    focal_loss_alpha: NonNegativeFloat = 0.75
    focal_loss_gamma: NonNegativeFloat = 2.0
    weight_loss_vfl: NonNegativeFloat = 1.0
    weight_loss_bbox: NonNegativeFloat = 5.0
    weight_loss_giou: NonNegativeFloat = 2.0
    eos_coefficient: NonNegativeFloat = 1e-4

    def derive(self) -> None:
        """A ResNet-50 of the paper's kind, when nothing is said of the backbone."""
        if self.backbone_config is None and self.backbone is None:
            self.backbone_config = RTDetrResNetConfig(out_indices=[2, 3, 4])

    def check(self) -> None:
        """Refuse parts that do not fit together."""
        verify_backbone_config_arguments(
            self.use_timm_backbone,
            self.use_pretrained_backbone,
            self.backbone,
            self.backbone_config,
            self.backbone_kwargs,
        )
        for heads, width in (
            ("encoder_attention_heads", "encoder_hidden_dim"),
            ("decoder_attention_heads", "d_model"),
        ):
            if getattr(self, width) % getattr(self, heads):
                raise ConfigError(
                    f"{heads}={getattr(self, heads)} does not divide "
                    f"{width}={getattr(self, width)}."
                )
        if self.encoder_hidden_dim % 4:
            raise ConfigError(
                f"encoder_hidden_dim={self.encoder_hidden_dim} must be a multiple of 4: rows and "
                "columns have half of it each, sines and cosines half of that."
            )
        self._check_maps()

    def _check_maps(self) -> None:
        maps = len(self.encoder_in_channels)
        if any(index >= maps for index in self.encode_proj_layers):
            raise ConfigError(
                f"encode_proj_layers={self.encode_proj_layers} names maps beyond the {maps} of "
                f"encoder_in_channels={self.encoder_in_channels}."
            )
        if len(self.decoder_in_channels) != maps or self.num_feature_levels < maps:
            raise ConfigError(
                f"encoder_in_channels={self.encoder_in_channels} has {maps} maps, but "
                f"decoder_in_channels={self.decoder_in_channels} and num_feature_levels="
                f"{self.num_feature_levels} are of others: give as many decoder_in_channels and no "
                "fewer levels."
            )
        if set(self.decoder_in_channels) != {self.encoder_hidden_dim}:
            raise ConfigError(
                f"decoder_in_channels={self.decoder_in_channels} must all be "
                f"encoder_hidden_dim={self.encoder_hidden_dim}: the decoder reads the encoder's "
                "maps."
            )

    @classmethod
    def from_backbone_configs(
        cls, backbone_config: PretrainedConfig, **kwargs: Any
    ) -> RTDetrConfig:
        """A config around that of a backbone."""
        return cls(backbone_config=backbone_config, **kwargs)
