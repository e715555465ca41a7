"""Configuration of Gemma."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail_models_text.llama.configuration import DecoderConfig


class GemmaConfig(DecoderConfig):
    """Sizes and constants of a Gemma model; the defaults are those of Gemma 7B.

    `hidden_activation` is what the model uses; `hidden_act` stands in early checkpoints, wrongly at
    times, and is kept but not read.
    """

    model_type: ClassVar[str] = "gemma"

    vocab_size: Size = 256000
    hidden_size: Size = 3072
    intermediate_size: Size = 24576
    num_hidden_layers: LayerCount = 28
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 16
    head_dim: Size | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_activation: str | None = None
    max_position_embeddings: Size = 8192
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    eos_token_id: TokenIds = 1
    bos_token_id: TokenIds = 2
    tie_word_embeddings: bool = True
    rope_theta: PositiveFloat = 10000.0
    attention_bias: bool = False
    attention_dropout: Probability = 0.0
