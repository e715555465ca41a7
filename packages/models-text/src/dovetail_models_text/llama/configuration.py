"""Configuration of the Llama line."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

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


class DecoderConfig(PretrainedConfig):
    """What the configs of the Llama line share: sizes, and grouped-query attention.

    The constants are what a family has that says nothing of them.
    """

    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attention_bias: ClassVar[bool] = False
    qkv_bias: ClassVar[bool] = False
    mlp_bias: ClassVar[bool] = False
    rope_interleaved: ClassVar[bool] = False
    rope_scaling: ClassVar[dict[str, Any] | None] = None
    head_dim: ClassVar[int | None] = None

    vocab_size: Size = 32000
    hidden_size: Size = 4096
    intermediate_size: Size = 11008
    num_hidden_layers: LayerCount = 32
    num_attention_heads: Size = 32
    num_key_value_heads: Size | None = None

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.head_dim or self.hidden_size // self.num_attention_heads

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.num_attention_heads % self.num_key_value_heads:  # type: ignore[operator]
            raise ConfigError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"num_attention_heads={self.num_attention_heads}."
            )


class SlidingWindows:
    """What configs share whose layers, all or some, see the last `sliding_window` positions only.

    Files of 5.x say in `layer_types` which layers do; elsewhere it is the family that knows.
    """

    layer_types: list[Literal["full_attention", "sliding_attention"]] | None = None

    def is_local(self, layer_idx: int) -> bool:
        """Whether the layer has the window where nothing is said: all have."""
        return True

    @property
    def layer_windows(self: Any) -> list[int | None]:
        """The window of each layer, None where it sees all positions."""
        layers = range(self.num_hidden_layers)
        kinds = self.layer_types
        local = map(self.is_local, layers) if kinds is None else (k[0] == "s" for k in kinds)
        return [self.sliding_window if each else None for each in local]


class LlamaConfig(DecoderConfig):
    """Sizes and constants of a Llama model; the defaults are those of Llama 2 7B.

    `num_key_value_heads` below `num_attention_heads` is grouped-query attention; `head_dim`
    defaults to an even split of `hidden_size`. `rope_scaling` is a dictionary as
    `dovetail.layers.rotary` reads it.
    """

    model_type: ClassVar[str] = "llama"

    hidden_act: str = "silu"
    max_position_embeddings: Size = 2048
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    pad_token_id: TokenIds = None
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    pretraining_tp: Size = 1
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: Probability = 0.0
    mlp_bias: bool = False
    head_dim: Size | None = None
