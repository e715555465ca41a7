"""Configuration of Phi-3."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Probability, Size, TokenIds
from dovetail_models_text.llama.configuration import DecoderConfig, SlidingWindows


class Phi3Config(DecoderConfig, SlidingWindows):
    """Sizes and constants of a Phi-3 model; the defaults are those of Phi-3 Mini 4K.

    A ``longrope`` scaling (``su`` in early files) changes its factors for texts beyond
    `original_max_position_embeddings`.
    """

    model_type: ClassVar[str] = "phi3"
    argument_moves: ClassVar[dict[str, str | None]] = {"hidden_act": "attention_dropout"}

    vocab_size: Size = 32064
    hidden_size: Size = 3072
    intermediate_size: Size = 8192
    hidden_act: str = "silu"
    resid_pdrop: Probability = 0.0
    embd_pdrop: Probability = 0.0
    attention_dropout: Probability = 0.0
    max_position_embeddings: Size = 4096
    original_max_position_embeddings: Size = 4096
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-5
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 32000
    pad_token_id: TokenIds = 32000
    sliding_window: Size | None = None
