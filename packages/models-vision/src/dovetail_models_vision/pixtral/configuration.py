"""Configuration of Pixtral's image encoder."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, PositiveFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class PixtralVisionConfig(PretrainedConfig):
    """Sizes and constants of Pixtral's image encoder; the defaults are those of
    ``mistral-community/pixtral-12b``. No edge of a picture is longer than `image_size`."""

    model_type: ClassVar[str] = "pixtral"
    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 1024
    intermediate_size: Size = 4096
    num_hidden_layers: LayerCount = 24
    num_attention_heads: Size = 16
    num_channels: Size = 3
    image_size: Size = 1024
    patch_size: Size = 16
    hidden_act: str = "gelu"
    attention_dropout: Probability = 0.0
    rope_theta: PositiveFloat = 10000.0
    initializer_range: NonNegativeFloat = 0.02

    def derive(self) -> None:
        """The width of a head."""
        self.head_dim = self.hidden_size // self.num_attention_heads

    def check(self) -> None:
        """Refuse heads that cannot be turned by rows and columns, and patches larger than the
        image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)
        if self.head_dim % 4:
            raise ConfigError(
                f"hidden_size={self.hidden_size} makes num_attention_heads="
                f"{self.num_attention_heads} heads of {self.head_dim} channels, which must be a "
                "multiple of 4: half of them are turned by the row, half by the column."
            )
