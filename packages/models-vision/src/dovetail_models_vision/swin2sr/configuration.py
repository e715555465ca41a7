"""Configuration of Swin2SR."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, PositiveFloat, Probability, Size
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

UPSAMPLERS = ("pixelshuffle", "pixelshuffle_aux", "pixelshuffledirect", "nearest+conv", "")
CONNECTIONS = ("1conv", "3conv")


class Swin2SRConfig(PretrainedConfig):
    """Sizes and constants of a Swin2SR; the defaults are those of
    ``caidas/swin2SR-classical-sr-x2-64``.

    `upscale` is by how much pictures get larger; `upsampler` how, with ``""`` for denoising at the
    same size. `resi_connection` says how many convolutions follow the layers of a stage.
    """

    model_type: ClassVar[str] = "swin2sr"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "embed_dim",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
    }

    image_size: Size | list[Size] = 64
    patch_size: Size = 1
    num_channels: Size = 3
    num_channels_out: Size | None = None
    embed_dim: Size = 180
    depths: list[LayerCount] = [6, 6, 6, 6, 6, 6]  # noqa: RUF012 - copied for each instance
    num_heads: list[Size] = [6, 6, 6, 6, 6, 6]  # noqa: RUF012 - copied for each instance
    window_size: Size = 8
    mlp_ratio: PositiveFloat = 2.0
    qkv_bias: bool = True
    hidden_dropout_prob: Probability = 0.0
    attention_probs_dropout_prob: Probability = 0.0
    drop_path_rate: Probability = 0.1
    hidden_act: str = "gelu"
    use_absolute_embeddings: bool = False
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    upscale: Size = 2
    img_range: PositiveFloat = 1.0
    resi_connection: str = "1conv"
    upsampler: str = "pixelshuffle"

    def derive(self) -> None:
        """Count the stages; pictures keep their channels."""
        self.num_layers = len(self.depths)
        if self.num_channels_out is None:
            self.num_channels_out = self.num_channels

    def check(self) -> None:
        """Refuse what no such model can be."""
        if self.upsampler not in UPSAMPLERS:
            raise ConfigError(f"upsampler={self.upsampler!r} must be one of {list(UPSAMPLERS)}.")
        if self.resi_connection not in CONNECTIONS:
            raise ConfigError(
                f"resi_connection={self.resi_connection!r} must be one of {list(CONNECTIONS)}."
            )
        if self.patch_size != 1 or self.use_absolute_embeddings:
            raise ConfigError(
                f"patch_size={self.patch_size} and use_absolute_embeddings="
                f"{self.use_absolute_embeddings} must be 1 and False: layers work on pixels, whose "
                "positions are relative."
            )
        if len(self.num_heads) != len(self.depths):
            raise ConfigError(
                f"num_heads={self.num_heads} and depths={self.depths} must have one entry for each "
                "stage: make them equally long."
            )
        for heads in self.num_heads:
            if self.embed_dim % heads:
                raise ConfigError(
                    f"num_heads={self.num_heads}: {heads} does not divide "
                    f"embed_dim={self.embed_dim}."
                )
        self.check_upscale()

    def check_upscale(self) -> None:
        """Refuse factors that the upsampler does not make."""
        power = self.upscale & (self.upscale - 1) == 0
        makes = {
            "pixelshuffle": (power or self.upscale == 3, "a power of 2, or 3"),
            "pixelshuffle_aux": (power or self.upscale == 3, "a power of 2, or 3"),
            "nearest+conv": (self.upscale == 4, "4"),
            "": (self.upscale == 1, "1, for denoising"),
        }
        fits, wanted = makes.get(self.upsampler, (True, ""))
        if not fits and self.upsampler:
            raise ConfigError(
                f"upscale={self.upscale} must be {wanted}, with upsampler={self.upsampler!r}."
            )
