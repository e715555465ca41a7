"""Configuration of Mask2Former."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail import registry
from dovetail.config_fields import (
    Fraction,
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

SWIN: dict[str, Any] = {
    "image_size": 224,
    "in_channels": 3,
    "patch_size": 4,
    "embed_dim": 96,
    "depths": [2, 2, 18, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": 7,
    "drop_path_rate": 0.3,
    "use_absolute_embeddings": False,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
"""The backbone where nothing is said of one."""
LEVELS = 3
"""How many maps, the smallest ones, are attended to."""
NORM_GROUPS = 32
"""How many groups the norms of the pixel decoder have."""


class Mask2FormerConfig(PretrainedConfig):
    """Sizes of a Mask2Former and weights of its losses; the defaults are those of
    ``facebook/mask2former-swin-small-coco-instance``.

    The pixel decoder is `feature_size` wide and the masks' features `mask_feature_size`, the
    transformer `hidden_dim`, with `decoder_layers` predictions, of which the first is that of the
    queries alone. `feature_strides` say by how much the backbone's maps are smaller than the
    picture, `common_stride` by how much masks are. Masks are compared at `train_num_points` points.
    """

    model_type: ClassVar[str] = "mask2former"
    attribute_map: ClassVar[dict[str, str]] = {"hidden_size": "hidden_dim"}
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": "auto"}

    backbone_config: Any = None
    feature_size: Size = 256
    mask_feature_size: Size = 256
    hidden_dim: Size = 256
    encoder_feedforward_dim: Size = 1024
    activation_function: str = "relu"
    encoder_layers: LayerCount = 6
    decoder_layers: Size = 10
    num_attention_heads: Size = 8
    dropout: Probability = 0.0
    dim_feedforward: Size = 2048
    pre_norm: bool = False
    enforce_input_projection: bool = False
    common_stride: Size = 4
    ignore_value: int = 255
    num_queries: Size = 100
    no_object_weight: NonNegativeFloat = 0.1
    class_weight: NonNegativeFloat = 2.0
    mask_weight: NonNegativeFloat = 5.0
    dice_weight: NonNegativeFloat = 5.0
    train_num_points: Size = 12544
    oversample_ratio: PositiveFloat = 3.0
    importance_sample_ratio: Fraction = 0.75
    init_std: NonNegativeFloat = 0.02
    init_xavier_std: NonNegativeFloat = 1.0
    use_auxiliary_loss: bool = True
    feature_strides: list[Size] = [4, 8, 16, 32]  # noqa: RUF012 - copied for each instance
    output_auxiliary_logits: Literal[True, False] | None = None
    backbone: str | None = None
    use_pretrained_backbone: bool = False
    use_timm_backbone: bool = False
    backbone_kwargs: dict[str, Any] | None = None

    def derive(self) -> None:
        """Take a Swin where nothing is said of a backbone; the decoder's layers are the model's."""
        if self.backbone_config is None and self.backbone is None:
            swin = registry.resolve(registry.models().get("swin").config)
            self.backbone_config = swin(**SWIN)
        self.num_hidden_layers = self.decoder_layers

    def check(self) -> None:
        """Refuse widths that heads or norms do not divide, and maps that cannot be masks'."""
        for name in ("hidden_dim", "feature_size"):
            width = getattr(self, name)
            if width % self.num_attention_heads or width % 4:
                raise ConfigError(
                    f"{name}={width} must be a multiple of num_attention_heads="
                    f"{self.num_attention_heads} and of 4, for sines of rows and columns."
                )
        if self.feature_size % NORM_GROUPS:
            raise ConfigError(
                f"feature_size={self.feature_size} must be a multiple of {NORM_GROUPS}: so many "
                "groups do its norms have."
            )
        if len(self.feature_strides) < LEVELS:
            raise ConfigError(
                f"feature_strides={self.feature_strides} must name at least {LEVELS} maps."
            )
        if self.oversample_ratio < 1:
            raise ConfigError(
                f"oversample_ratio={self.oversample_ratio} must be at least 1: points are chosen "
                "among more."
            )

    @classmethod
    def from_backbone_config(
        cls, backbone_config: PretrainedConfig, **kwargs: Any
    ) -> Mask2FormerConfig:
        """A config around that of a backbone."""
        return cls(backbone_config=backbone_config, **kwargs)
