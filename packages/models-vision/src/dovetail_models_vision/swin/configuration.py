"""Configuration of Swin."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_backbone import BackboneConfigMixin
from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
)
from dovetail.errors import ConfigError


class SwinConfig(BackboneConfigMixin):
    """Sizes and constants of a Swin; the defaults are those of
    ``microsoft/swin-tiny-patch4-window7-224``.

    `embed_dim` is the width of the first stage; each further one is twice as wide as that before.
    """

    model_type: ClassVar[str] = "swin"
    attribute_map: ClassVar[dict[str, str]] = {
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
    }

    image_size: Size = 224
    patch_size: Size = 4
    num_channels: Size = 3
    embed_dim: Size = 96
    depths: list[LayerCount] = [2, 2, 6, 2]  # noqa: RUF012 - copied for each instance
    num_heads: list[Size] = [3, 6, 12, 24]  # noqa: RUF012 - copied for each instance
    window_size: Size = 7
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    drop_path_rate: Probability = 0.1
    hidden_act: str = "gelu"
    use_absolute_embeddings: bool = False
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    encoder_stride: Size = 32
    out_features: list[str] | None = None
    out_indices: list[int] | None = None

    def derive(self) -> None:
        """Count the stages, and note how wide the last one is."""
        super().derive()
        self.num_layers = len(self.depths)
        self.hidden_size = self.embed_dim * 2 ** max(self.num_layers - 1, 0)

    def check(self) -> None:
        """Refuse another number of heads than of stages, and heads that do not divide a width."""
        if len(self.num_heads) != len(self.depths):
            raise ConfigError(
                f"num_heads={self.num_heads} and depths={self.depths} must have one entry for each "
                "stage: make them equally long."
            )
        for stage, heads in enumerate(self.num_heads):
            if self.embed_dim * 2**stage % heads:
                raise ConfigError(
                    f"num_heads={self.num_heads}: {heads} does not divide the width "
                    f"{self.embed_dim * 2**stage} of its stage."
                )
