"""Configuration of Deformable DETR."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.errors import ConfigError
from dovetail_models_vision.detr.configuration import DetectorConfig, PositionType


class DeformableDetrConfig(DetectorConfig):
    """Sizes of a Deformable DETR and weights of its losses; the defaults are those of
    ``SenseTime/deformable-detr``, whose backbone is a network of the ``timm`` package."""

    model_type: ClassVar[str] = "deformable_detr"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
    }
    argument_moves: ClassVar[dict[str, str | None]] = {"is_encoder_decoder": "encoder_layerdrop"}
    timm_stages: ClassVar[tuple[int, ...]] = (2, 3, 4)

    use_timm_backbone: bool = True
    backbone_config: Any = None
    num_channels: Size = 3
    num_queries: Size = 300
    max_position_embeddings: Size = 1024
    encoder_layers: LayerCount = 6
    encoder_ffn_dim: Size = 1024
    encoder_attention_heads: Size = 8
    decoder_layers: Size = 6
    decoder_ffn_dim: Size = 1024
    decoder_attention_heads: Size = 8
    encoder_layerdrop: Probability = 0.0
    is_encoder_decoder: bool = True
    activation_function: str = "relu"
    d_model: Size = 256
    dropout: Probability = 0.1
    attention_dropout: Probability = 0.0
    activation_dropout: Probability = 0.0
    init_std: NonNegativeFloat = 0.02
    init_xavier_std: NonNegativeFloat = 1.0
    return_intermediate: bool = True
    auxiliary_loss: bool = False
    position_embedding_type: PositionType = "sine"
    backbone: str | None = "resnet50"
    use_pretrained_backbone: bool = True
    backbone_kwargs: dict[str, Any] | None = None
    dilation: bool = False
    num_feature_levels: Size = 4
    encoder_n_points: Size = 4
    decoder_n_points: Size = 4
    two_stage: bool = False
    two_stage_num_proposals: Size = 300
    with_box_refine: bool = False
    class_cost: NonNegativeFloat = 1
    bbox_cost: NonNegativeFloat = 5
    giou_cost: NonNegativeFloat = 2
    mask_loss_coefficient: NonNegativeFloat = 1
    dice_loss_coefficient: NonNegativeFloat = 1
    bbox_loss_coefficient: NonNegativeFloat = 5
    giou_loss_coefficient: NonNegativeFloat = 2
    eos_coefficient: NonNegativeFloat = 0.1
    focal_alpha: NonNegativeFloat = 0.25
    disable_custom_kernels: bool = False

    def check(self) -> None:
        """Refuse two stages without refined boxes, and a width that norms cannot divide."""
        super().check()
        if self.two_stage and not self.with_box_refine:
            raise ConfigError(
                "two_stage=True needs with_box_refine=True: the proposals of the first stage are "
                "boxes, which each layer refines."
            )
        if self.d_model % 32:
            raise ConfigError(
                f"d_model={self.d_model} must be a multiple of 32, the groups of the norms."
            )
