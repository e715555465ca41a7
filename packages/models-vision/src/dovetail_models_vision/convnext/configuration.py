"""Configuration of ConvNeXt."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_backbone import BackboneConfigMixin
from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size
from dovetail.errors import ConfigError


class ConvNextConfig(BackboneConfigMixin):
    """Sizes and constants of a ConvNeXt; the defaults are those of ``facebook/convnext-tiny-224``.

    `hidden_sizes` and `depths` have `num_stages` entries; without them they are those of the tiny
    model. A `layer_scale_init_value` of 0 leaves the scales of layers out.
    """

    model_type: ClassVar[str] = "convnext"

    num_channels: Size = 3
    patch_size: Size = 4
    num_stages: LayerCount = 4
    hidden_sizes: list[Size] | None = None
    depths: list[LayerCount] | None = None
    hidden_act: str = "gelu"
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    layer_scale_init_value: NonNegativeFloat = 1e-6
    drop_path_rate: Probability = 0.0
    image_size: Size = 224
    out_features: list[str] | None = None
    out_indices: list[int] | None = None

    def derive(self) -> None:
        """Take the tiny model's widths and depths where none are given."""
        self.hidden_sizes = [96, 192, 384, 768] if self.hidden_sizes is None else self.hidden_sizes
        self.depths = [3, 3, 9, 3] if self.depths is None else self.depths
        super().derive()

    def check(self) -> None:
        """Refuse another number of widths or depths than of stages."""
        for key in ("hidden_sizes", "depths"):
            if len(getattr(self, key)) != self.num_stages:
                raise ConfigError(
                    f"{key}={getattr(self, key)} must have one entry for each of num_stages="
                    f"{self.num_stages} stages."
                )
