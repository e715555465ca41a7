"""Configuration of Mistral."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Probability, Size, TokenIds
from dovetail_models_text.llama.configuration import DecoderConfig, SlidingWindows


class MistralConfig(DecoderConfig, SlidingWindows):
    """Sizes and constants of a Mistral model; the defaults are those of Mistral 7B v0.1.

    A token sees the last `sliding_window` positions, itself included; None is all of them.
    """

    model_type: ClassVar[str] = "mistral"

    intermediate_size: Size = 14336
    num_key_value_heads: Size | None = 8
    head_dim: Size | None = None
    hidden_act: str = "silu"
    max_position_embeddings: Size = 4096 * 32
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    pad_token_id: TokenIds = None
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 10000.0
    sliding_window: Size | None = 4096
    attention_dropout: Probability = 0.0
