"""Configuration of Mamba 2."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    OpenFloat,
    PositiveFloat,
    Size,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class Mamba2Config(PretrainedConfig):
    """Sizes and constants of a Mamba 2 model; the defaults are those of
    ``mistralai/Mamba-Codestral-7B-v0.1``.

    A layer has `num_heads` heads of width `head_dim`, together `expand` times `hidden_size`. Those
    of each of `n_groups` groups share what is written into their states and read from them.
    Time steps are kept within `time_step_limit`; in training they begin between `time_step_min`
    and `time_step_max`, at least `time_step_floor`. Long texts are computed in pieces of
    `chunk_size` positions at most. `rms_norm` and `time_step_rank` have no effect.
    """

    model_type: ClassVar[str] = "mamba2"

    num_heads: Size = 128
    head_dim: Size = 64
    vocab_size: Size = 32768
    hidden_size: Size = 4096
    state_size: Size = 128
    num_hidden_layers: LayerCount = 64
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    pad_token_id: TokenIds = 1
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 2
    expand: PositiveFloat = 2
    conv_kernel: Size = 4
    n_groups: Size = 8
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    initializer_range: NonNegativeFloat = 0.1
    residual_in_fp32: bool = True
    time_step_rank: Size | Literal["auto"] = "auto"
    time_step_min: PositiveFloat = 0.001
    time_step_max: PositiveFloat = 0.1
    time_step_floor: PositiveFloat = 1e-4
    time_step_limit: tuple[OpenFloat, OpenFloat] = (0.0, math.inf)
    rescale_prenorm_residual: bool = False
    use_cache: bool = True
    rms_norm: bool = True
    chunk_size: Size = 256
    tie_word_embeddings: bool = False

    def derive(self) -> None:
        """The rank that follows from `hidden_size`."""
        if self.time_step_rank == "auto":
            self.time_step_rank = math.ceil(self.hidden_size / 16)

    def check(self) -> None:
        """Refuse heads that do not make up the width, or the groups."""
        if self.num_heads * self.head_dim != int(self.expand * self.hidden_size):
            raise ConfigError(
                f"num_heads={self.num_heads} times head_dim={self.head_dim} must be "
                f"expand={self.expand} times hidden_size={self.hidden_size}."
            )
        if self.num_heads % self.n_groups:
            raise ConfigError(
                f"n_groups={self.n_groups} does not divide num_heads={self.num_heads}."
            )

    @property
    def layer_windows(self) -> list[int | None]:
        """No layer sees the tokens before: all have states."""
        return [0] * self.num_hidden_layers

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What a layer remembers of each text."""
        channels = self.num_heads * self.head_dim + 2 * self.n_groups * self.state_size
        return {
            "conv": (channels, self.conv_kernel),
            "ssm": (self.num_heads, self.head_dim, self.state_size),
        }
