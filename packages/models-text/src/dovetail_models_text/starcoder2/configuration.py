"""Configuration of StarCoder 2."""

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
from dovetail_models_text.llama.configuration import DecoderConfig, SlidingWindows


class Starcoder2Config(DecoderConfig, SlidingWindows):
    """Sizes and constants of a StarCoder 2 model; the defaults are those of the 3B.

    A token sees the last `sliding_window` positions, itself included; None is all of them.
    """

    model_type: ClassVar[str] = "starcoder2"
    attribute_map: ClassVar[dict[str, str]] = {"attention_bias": "use_bias"}

    vocab_size: Size = 49152
    hidden_size: Size = 3072
    intermediate_size: Size = 12288
    num_hidden_layers: LayerCount = 30
    num_attention_heads: Size = 24
    num_key_value_heads: Size | None = 2
    hidden_act: str = "gelu_pytorch_tanh"
    max_position_embeddings: Size = 4096
    initializer_range: NonNegativeFloat = 0.018042
    norm_epsilon: NonNegativeFloat = 1e-5
    use_cache: bool = True
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    sliding_window: Size | None = None
    attention_dropout: Probability = 0.0
    residual_dropout: Probability = 0.0
    embedding_dropout: Probability = 0.0
    use_bias: bool = True
