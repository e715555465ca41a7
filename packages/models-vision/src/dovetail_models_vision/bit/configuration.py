"""Configuration of BiT."""

from __future__ import annotations

from typing import ClassVar, Literal

from dovetail.config_backbone import BackboneConfigMixin
from dovetail.config_fields import LayerCount, Probability, Size
from dovetail.errors import ConfigError


class BitConfig(BackboneConfigMixin):
    """Sizes and constants of a BiT; the defaults are those of ``google/bit-50``.

    `layer_type` says where norms are: in front of convolutions (``preactivation``) or behind
    (``bottleneck``). From where pictures are smaller by `output_stride`, stages keep height and
    width; layers of ``bottleneck`` dilate their convolutions there. `global_padding` is ``SAME``
    (so that sizes are divided as TensorFlow does it), or None, the same on all sides; with
    `embedding_dynamic_padding` the stem's maximum is padded as by ``SAME``.
    """

    model_type: ClassVar[str] = "bit"

    num_channels: Size = 3
    embedding_size: Size = 64
    hidden_sizes: list[Size] = [256, 512, 1024, 2048]  # noqa: RUF012 - copied for each instance
    depths: list[LayerCount] = [3, 4, 6, 3]  # noqa: RUF012 - copied for each instance
    layer_type: Literal["preactivation", "bottleneck"] = "preactivation"
    hidden_act: str = "relu"
    global_padding: str | None = None
    num_groups: Size = 32
    drop_path_rate: Probability = 0.0
    embedding_dynamic_padding: bool = False
    output_stride: Size = 32
    width_factor: Size = 1
    out_features: list[str] | None = None
    out_indices: list[int] | None = None

    def derive(self) -> None:
        """Write the kind of padding in capitals."""
        super().derive()
        if self.global_padding is not None:
            self.global_padding = self.global_padding.upper()

    def check(self) -> None:
        """Refuse other paddings (with none at all a layer could not be added to its input), and
        stages without a width."""
        if self.global_padding not in (None, "SAME"):
            raise ConfigError(
                f"global_padding={self.global_padding!r} must be None or 'SAME', with which layers "
                "keep the size of what they are added to."
            )
        if len(self.hidden_sizes) < len(self.depths):
            raise ConfigError(
                f"hidden_sizes={self.hidden_sizes} lacks a width for a stage of "
                f"depths={self.depths}: give one for each."
            )
