"""Configuration of DPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_vision.vit.configuration import check_heads, check_patches

HYBRID = {
    "global_padding": "same",
    "layer_type": "bottleneck",
    "depths": [3, 4, 9],
    "out_features": ["stage1", "stage2", "stage3"],
    "embedding_dynamic_padding": True,
}
"""The BiT that a hybrid model looks through, unless its config says otherwise."""


class DPTConfig(PretrainedConfig):
    """Sizes and constants of a DPT; the defaults are those of ``Intel/dpt-large``.

    What is fused are the outputs of the ViT's layers `backbone_out_indices`, or the feature maps of
    the backbone that `backbone_config` or `backbone` describes. With `is_hybrid` the ViT reads the
    last map of a BiT, and the first two of its maps are fused in place of layers;
    `backbone_featmap_shape` is the last map's. `neck_ignore_stages` are taken as they are,
    `readout_type` says how the first token takes part in the others.
    """

    model_type: ClassVar[str] = "dpt"
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": "auto"}

    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    image_size: Size = 384
    patch_size: Size = 16
    num_channels: Size = 3
    is_hybrid: bool = False
    qkv_bias: bool = True
    backbone_out_indices: list[int] | None = [2, 5, 8, 11]  # noqa: RUF012 - copied
    readout_type: Literal["ignore", "add", "project"] = "project"
    reassemble_factors: list[PositiveFloat] = [4, 2, 1, 0.5]  # noqa: RUF012 - copied
    neck_hidden_sizes: list[Size] = [96, 192, 384, 768]  # noqa: RUF012 - copied
    fusion_hidden_size: Size = 256
    head_in_index: int = -1
    use_batch_norm_in_fusion_residual: bool = False
    use_bias_in_fusion_residual: Literal[True, False] | None = None
    add_projection: bool = False
    use_auxiliary_head: bool = True
    auxiliary_loss_weight: NonNegativeFloat = 0.4
    semantic_loss_ignore_index: int = 255
    semantic_classifier_dropout: Probability = 0.1
    backbone_featmap_shape: list[Size] | None = [1, 1024, 24, 24]  # noqa: RUF012 - copied
    neck_ignore_stages: list[int] = [0, 1]  # noqa: RUF012 - copied
    backbone_config: Any = None
    backbone: str | None = None
    use_pretrained_backbone: bool = False
    use_timm_backbone: bool = False
    backbone_kwargs: dict[str, Any] | None = None

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        own = values.get("backbone_config")
        if values.get("is_hybrid") and isinstance(own, Mapping | None):
            values["backbone_config"] = {"model_type": "bit", **(HYBRID if own is None else own)}
        super()._set_sub_configs(values)

    def derive(self) -> None:
        """Leave out what the kind of backbone does not need."""
        described = self.backbone_config is not None or self.backbone is not None
        self.use_autobackbone = described and not self.is_hybrid
        if self.use_autobackbone:
            self.backbone_out_indices = None
        if not self.is_hybrid:
            self.backbone_featmap_shape, self.neck_ignore_stages = None, []

    def check(self) -> None:
        """Refuse heads that do not divide, patches larger than the image, stages of the neck that
        are not told fully, and hybrids of another kind than there are."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)
        if len(self.reassemble_factors) != len(self.neck_hidden_sizes):
            raise ConfigError(
                f"reassemble_factors={self.reassemble_factors} and neck_hidden_sizes="
                f"{self.neck_hidden_sizes} must have one entry for each stage of the neck."
            )
        if not -len(self.neck_hidden_sizes) <= self.head_in_index < len(self.neck_hidden_sizes):
            raise ConfigError(
                f"head_in_index={self.head_in_index} is none of the {len(self.neck_hidden_sizes)} "
                "stages of the neck."
            )
        if self.is_hybrid and self.readout_type != "project":
            raise ConfigError(
                f"readout_type={self.readout_type!r}: a model with is_hybrid=True needs 'project'."
            )
