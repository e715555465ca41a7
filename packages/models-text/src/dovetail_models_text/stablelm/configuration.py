"""Configuration of StableLM."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail_models_text.llama.configuration import DecoderConfig


class StableLmConfig(DecoderConfig):
    """Sizes and constants of a StableLM model; the defaults are those of StableLM 3B 4E1T.

    The first `partial_rotary_factor` of each head's channels are rotated. With `qk_layernorm` each
    head's queries and keys are normalised; with `use_parallel_residual` attention and MLP read the
    same norm.
    """

    model_type: ClassVar[str] = "stablelm"
    argument_moves: ClassVar[dict[str, str | None]] = {"hidden_size": "intermediate_size"}
    attribute_map: ClassVar[dict[str, str]] = {"qkv_bias": "use_qkv_bias"}

    vocab_size: Size = 50304
    hidden_size: Size = 2560
    intermediate_size: Size = 6912
    num_key_value_heads: Size | None = 32
    hidden_act: str = "silu"
    max_position_embeddings: Size = 4096
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 10000
    rope_scaling: dict[str, Any] | None = None
    use_qkv_bias: bool = False
    qk_layernorm: bool = False
    use_parallel_residual: bool = False
    hidden_dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    partial_rotary_factor: Fraction = 0.25
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 0
