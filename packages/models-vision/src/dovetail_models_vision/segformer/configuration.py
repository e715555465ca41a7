"""Configuration of SegFormer."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class SegformerConfig(PretrainedConfig):
    """Sizes and constants of a SegFormer; the defaults are those of ``nvidia/mit-b0``.

    Every list has one entry for each of `num_encoder_blocks` stages; `sr_ratios` say by how much
    keys and values are fewer, in height and in width, than queries.
    """

    model_type: ClassVar[str] = "segformer"

    num_channels: Size = 3
    num_encoder_blocks: LayerCount = 4
    depths: list[LayerCount] = [2, 2, 2, 2]  # noqa: RUF012 - copied for each instance
    sr_ratios: list[Size] = [8, 4, 2, 1]  # noqa: RUF012 - copied for each instance
    hidden_sizes: list[Size] = [32, 64, 160, 256]  # noqa: RUF012 - copied for each instance
    patch_sizes: list[Size] = [7, 3, 3, 3]  # noqa: RUF012 - copied for each instance
    strides: list[Size] = [4, 2, 2, 2]  # noqa: RUF012 - copied for each instance
    num_attention_heads: list[Size] = [1, 2, 5, 8]  # noqa: RUF012 - copied for each instance
    mlp_ratios: list[PositiveFloat] = [4, 4, 4, 4]  # noqa: RUF012 - copied for each instance
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    classifier_dropout_prob: Probability = 0.1
    initializer_range: NonNegativeFloat = 0.02
    drop_path_rate: Probability = 0.1
    layer_norm_eps: NonNegativeFloat = 1e-6
    decoder_hidden_size: Size = 256
    semantic_loss_ignore_index: int = 255

    def derive(self) -> None:
        """The last stage's output is a map, unless a key of old files, ``reshape_last_stage``, is
        false."""
        self.__dict__.setdefault("reshape_last_stage", True)

    def check(self) -> None:
        """Refuse lists of another length than there are stages, and heads that do not divide."""
        for name in (
            "depths",
            "sr_ratios",
            "hidden_sizes",
            "patch_sizes",
            "strides",
            "num_attention_heads",
            "mlp_ratios",
        ):
            values = getattr(self, name)
            if len(values) != self.num_encoder_blocks:
                raise ConfigError(
                    f"{name}={values} must have num_encoder_blocks={self.num_encoder_blocks} "
                    "entries, one for each stage."
                )
        for width, heads in zip(self.hidden_sizes, self.num_attention_heads, strict=True):
            if width % heads:
                raise ConfigError(
                    f"num_attention_heads={self.num_attention_heads}: {heads} does not divide the "
                    f"width {width} of its stage in hidden_sizes={self.hidden_sizes}."
                )
