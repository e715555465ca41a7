"""Configuration of GPT-NeoX."""

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


class GPTNeoXConfig(PretrainedConfig):
    """Sizes and constants of a GPT-NeoX model; the defaults are those of
    ``EleutherAI/gpt-neox-20b``.

    The first `rotary_pct` of a head's channels are rotated; files of 5.x call that
    `partial_rotary_factor`, and `rotary_emb_base` `rope_theta`. Without `use_parallel_residual` the
    MLP reads what attention has added.
    """

    model_type: ClassVar[str] = "gpt_neox"
    argument_moves: ClassVar[dict[str, str | None]] = dict.fromkeys(
        ("partial_rotary_factor", "rope_theta")
    )
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    vocab_size: Size = 50432
    hidden_size: Size = 6144
    num_hidden_layers: LayerCount = 44
    num_attention_heads: Size = 64
    intermediate_size: Size = 24576
    hidden_act: str = "gelu"
    rotary_pct: Probability = 0.25
    rotary_emb_base: PositiveFloat = 10000
    attention_dropout: Probability = 0.0
    hidden_dropout: Probability = 0.0
    classifier_dropout: Probability = 0.1
    max_position_embeddings: Size = 2048
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    use_cache: bool = True
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 2
    tie_word_embeddings: bool = False
    use_parallel_residual: bool = True
    rope_scaling: dict[str, Any] | None = None
    attention_bias: bool = True
    partial_rotary_factor: Probability | None = None
    rope_theta: PositiveFloat | None = None

    def derive(self) -> None:
        """The rotation under both names, be it given by the one or the other."""
        for name, other in (
            ("rotary_pct", "partial_rotary_factor"),
            ("rotary_emb_base", "rope_theta"),
        ):
            value = getattr(self, name)
            if value == getattr(type(self), name):
                value = getattr(self, other) or value
            setattr(self, name, value)
            setattr(self, other, value)

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )
