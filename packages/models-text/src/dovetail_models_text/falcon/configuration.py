"""Configuration of Falcon."""

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


class FalconConfig(PretrainedConfig):
    """Sizes and constants of a Falcon model; the defaults are those of ``tiiuae/falcon-7b``.

    With `new_decoder_architecture` heads share `num_kv_heads` keys and values, else one if
    `multi_query`. With `parallel_attn` attention and MLP stand side by side, behind
    `num_ln_in_parallel_attn` norms. `n_embed` is an older name of `hidden_size`.
    """

    model_type: ClassVar[str] = "falcon"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    vocab_size: Size = 65024
    hidden_size: Size = 4544
    num_hidden_layers: LayerCount = 32
    num_attention_heads: Size = 71
    num_ln_in_parallel_attn: Size | None = None
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    use_cache: bool = True
    hidden_dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    num_kv_heads: Size | None = None
    alibi: bool = False
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    bias: bool = False
    max_position_embeddings: Size = 2048
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    bos_token_id: TokenIds = 11
    eos_token_id: TokenIds = 11
    ffn_hidden_size: Size | None = None
    activation: str = "gelu"

    def derive(self) -> None:
        """The widths, and as many keys and values as heads, unless given."""
        self.hidden_size = self.__dict__.pop("n_embed", None) or self.hidden_size
        self.ffn_hidden_size = self.ffn_hidden_size or 4 * self.hidden_size
        self.num_kv_heads = self.num_kv_heads or self.num_attention_heads

    def check(self) -> None:
        """Refuse head counts that do not divide, and layouts that no Falcon has."""
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_kv_heads={self.num_kv_heads} does not divide "
                f"num_attention_heads={self.num_attention_heads}."
            )
        if self.new_decoder_architecture and not self.parallel_attn:
            raise ConfigError("new_decoder_architecture=True needs parallel_attn=True.")

    @property
    def head_dim(self) -> int:
        """The width of a head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def rotary(self) -> bool:
        """Whether positions are angles, not biases."""
        return not self.alibi

    @property
    def num_key_value_heads(self) -> int:
        """How many keys and values there are."""
        if self.new_decoder_architecture:
            return self.num_kv_heads or self.num_attention_heads
        return 1 if self.multi_query else self.num_attention_heads

    @property
    def norms_apart(self) -> bool:
        """Whether attention and MLP, side by side, have a norm each."""
        return self.new_decoder_architecture and self.num_ln_in_parallel_attn in (None, 2)
