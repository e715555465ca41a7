"""Configuration of DETR, and what configs of detectors say of their backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dovetail import registry
from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

PositionType = Literal["sine", "learned"]


class DetectorConfig(PretrainedConfig):
    """A config that describes a backbone: by `backbone_config`, or by `backbone`, the name of one,
    which `use_timm_backbone` says is a network of the ``timm`` package. `default_stages` are those
    that a ResNet returns when nothing is said, `timm_stages` those of a timm backbone."""

    if TYPE_CHECKING:
        use_timm_backbone: bool
        backbone_config: Any
        backbone: str | None
        backbone_kwargs: dict[str, Any] | None
        dilation: bool | None
        num_channels: int
        d_model: int

    default_stages: ClassVar[tuple[str, ...]] = ("stage4",)
    timm_stages: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": "auto"}

    def derive(self) -> None:
        """Complete what is said of the backbone."""
        own: Any = self.__dict__.get("backbone_config")
        if self.use_timm_backbone:
            if self.backbone_kwargs is None:
                options: dict[str, Any] = {"output_stride": 16} if self.dilation else {}
                stages = list(self.timm_stages)
                self.backbone_kwargs = {
                    **options,
                    "out_indices": stages,
                    "in_chans": self.num_channels,
                }
        elif self.backbone in (None, "resnet50"):
            if own is None:
                resnet = registry.resolve(registry.models().get("resnet").config)
                self.backbone_config = resnet(out_features=list(self.default_stages))
            self.backbone = self.dilation = None

    def check(self) -> None:
        """Refuse a backbone that is described twice, and heads that do not divide the width."""
        if self.backbone_config is not None and self.use_timm_backbone:
            raise ConfigError(
                "backbone_config and use_timm_backbone=True both describe the backbone: give "
                "use_timm_backbone=False, or leave out backbone_config."
            )
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ConfigError(
                    f"{name}={getattr(self, name)} does not divide d_model={self.d_model}."
                )
        if self.d_model % 4:
            raise ConfigError(
                f"d_model={self.d_model} must be a multiple of 4: rows and columns have half of "
                "it each, sines and cosines half of that."
            )


class DetrConfig(DetectorConfig):
    """Sizes of a DETR and weights of its losses; the defaults are those of
    ``facebook/detr-resnet-50``, whose backbone is a network of the ``timm`` package."""

    model_type: ClassVar[str] = "detr"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
    }
    argument_moves: ClassVar[dict[str, str | None]] = {"is_encoder_decoder": "decoder_layerdrop"}

    use_timm_backbone: bool = True
    backbone_config: Any = None
    num_channels: Size = 3
    num_queries: Size = 100
    encoder_layers: LayerCount = 6
    encoder_ffn_dim: Size = 2048
    encoder_attention_heads: Size = 8
    decoder_layers: LayerCount = 6
    decoder_ffn_dim: Size = 2048
    decoder_attention_heads: Size = 8
    encoder_layerdrop: Probability = 0.0
    decoder_layerdrop: Probability = 0.0
    is_encoder_decoder: bool = True
    activation_function: str = "relu"
    d_model: Size = 256
    dropout: Probability = 0.1
    attention_dropout: Probability = 0.0
    activation_dropout: Probability = 0.0
    init_std: NonNegativeFloat = 0.02
    init_xavier_std: NonNegativeFloat = 1.0
    auxiliary_loss: bool = False
    position_embedding_type: PositionType = "sine"
    backbone: str | None = "resnet50"
    use_pretrained_backbone: bool = True
    backbone_kwargs: dict[str, Any] | None = None
    dilation: Literal[True, False] | None = False
    class_cost: NonNegativeFloat = 1
    bbox_cost: NonNegativeFloat = 5
    giou_cost: NonNegativeFloat = 2
    mask_loss_coefficient: NonNegativeFloat = 1
    dice_loss_coefficient: NonNegativeFloat = 1
    bbox_loss_coefficient: NonNegativeFloat = 5
    giou_loss_coefficient: NonNegativeFloat = 2
    eos_coefficient: NonNegativeFloat = 0.1

    def derive(self) -> None:
        """The encoder's layers are the model's."""
        super().derive()
        self.num_hidden_layers = self.encoder_layers

    @classmethod
    def from_backbone_config(cls, backbone_config: PretrainedConfig, **kwargs: Any) -> DetrConfig:
        """A config around that of a backbone."""
        options = {"use_timm_backbone": False, "backbone": None, "use_pretrained_backbone": False}
        return cls(backbone_config=backbone_config, **{**options, **kwargs})
