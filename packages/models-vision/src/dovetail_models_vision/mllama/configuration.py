"""Configurations of Llama 3.2 Vision and its two parts."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail_models_text.llama.configuration import DecoderConfig

ASPECT_RATIOS = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
"""Rows and columns of up to four tiles."""


class MllamaVisionConfig(PretrainedConfig):
    """Sizes of the vision tower.

    A picture is up to `max_num_tiles` tiles in one of `supported_aspect_ratios` (rows, columns);
    features are the last states beside those that enter the layers `intermediate_layers_indices`,
    `vision_output_dim` numbers in all.
    """

    model_type: ClassVar[str] = "mllama_vision_model"
    base_config_key: ClassVar[str] = "vision_config"
    attribute_map: ClassVar[dict[str, str]] = {"num_attention_heads": "attention_heads"}

    hidden_size: Size = 1280
    hidden_act: str = "gelu"
    num_hidden_layers: LayerCount = 32
    num_global_layers: LayerCount = 8
    attention_heads: Size = 16
    num_channels: Size = 3
    intermediate_size: Size = 5120
    vision_output_dim: Size = 7680
    image_size: Size = 448
    patch_size: Size = 14
    norm_eps: PositiveFloat = 1e-5
    max_num_tiles: Size = 4
    intermediate_layers_indices: list[int] | None = None
    supported_aspect_ratios: list[list[int]] | None = None
    initializer_range: NonNegativeFloat = 0.02

    @property
    def max_aspect_ratio_id(self) -> int:
        """The number of the last aspect ratio; 0 stands for no picture."""
        return len(self.supported_aspect_ratios or ())

    @property
    def num_patches(self) -> int:
        """Tokens of a tile, the one that stands for it included."""
        return (self.image_size // self.patch_size) ** 2 + 1

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        if self.intermediate_layers_indices is None:
            self.intermediate_layers_indices = [3, 7, 15, 23, 30]
        if self.supported_aspect_ratios is None:
            if self.max_num_tiles != 4:
                raise ConfigError(
                    f"max_num_tiles={self.max_num_tiles}: say its supported_aspect_ratios; the "
                    "default ones are those of 4 tiles."
                )
            self.supported_aspect_ratios = [list(ratio) for ratio in ASPECT_RATIOS]

    def check(self) -> None:
        """Refuse heads and features that do not add up."""
        if self.hidden_size % self.attention_heads:
            raise ConfigError(
                f"attention_heads={self.attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )
        for ratio in self.supported_aspect_ratios or ():
            if len(ratio) != 2 or not 1 <= ratio[0] * ratio[1] <= self.max_num_tiles:
                raise ConfigError(
                    f"supported_aspect_ratios: {ratio} must be rows and columns of at most "
                    f"max_num_tiles={self.max_num_tiles} tiles."
                )


class MllamaTextConfig(DecoderConfig):
    """Sizes of the language model: Llama's, of which the layers `cross_attention_layers` read
    pictures."""

    model_type: ClassVar[str] = "mllama_text_model"
    base_config_key: ClassVar[str] = "text_config"
    attention_dropout: ClassVar[float] = 0.0

    vocab_size: Size = 128256
    hidden_size: Size = 4096
    hidden_act: str = "silu"
    num_hidden_layers: LayerCount = 40
    num_attention_heads: Size = 32
    num_key_value_heads: Size | None = 8
    intermediate_size: Size = 14336
    rope_theta: PositiveFloat = 500000
    rope_scaling: dict[str, Any] | None = None  # type: ignore[misc]
    rms_norm_eps: PositiveFloat = 1e-5
    max_position_embeddings: Size = 131072
    initializer_range: NonNegativeFloat = 0.02
    use_cache: bool = True
    tie_word_embeddings: bool = False
    cross_attention_layers: list[int] | None = None
    dropout: Probability = 0
    bos_token_id: TokenIds = 128000
    eos_token_id: TokenIds = 128001
    pad_token_id: TokenIds = 128004

    argument_moves: ClassVar[dict[str, str | None]] = {
        "hidden_act": "hidden_size",
        "intermediate_size": "num_key_value_heads",
    }

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        super().derive()
        if self.cross_attention_layers is None:
            self.cross_attention_layers = [3, 8, 13, 18, 23, 28, 33, 38]

    def check(self) -> None:
        """Refuse a first layer that reads pictures: positions are counted by what it remembers."""
        super().check()
        if 0 in (self.cross_attention_layers or ()):
            raise ConfigError(
                f"cross_attention_layers={self.cross_attention_layers}: the first layer must read "
                "the text."
            )


class MllamaConfig(PretrainedConfig):
    """A vision tower, a language model, and the token that stands for a picture."""

    model_type: ClassVar[str] = "mllama"
    is_composition: ClassVar[bool] = True
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": MllamaTextConfig,
        "vision_config": MllamaVisionConfig,
    }

    vision_config: Any = None
    text_config: Any = None
    image_token_index: int = 128256
