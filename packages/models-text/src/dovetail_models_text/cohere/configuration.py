"""Configuration of Cohere's Command R."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    AnyFloat,
    LayerCount,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail_models_text.llama.configuration import DecoderConfig


class CohereConfig(DecoderConfig):
    """Sizes and constants of a Command R model; the defaults are those of Command R.

    `logit_scale` multiplies the logits; with `use_qk_norm` each head's queries and keys are
    normalised, as in Command R+.
    """

    model_type: ClassVar[str] = "cohere"
    argument_moves: ClassVar[dict[str, str | None]] = {"logit_scale": "intermediate_size"}
    rope_interleaved: ClassVar[bool] = True

    vocab_size: Size = 256000
    hidden_size: Size = 8192
    intermediate_size: Size = 22528
    logit_scale: AnyFloat = 0.0625
    num_hidden_layers: LayerCount = 40
    num_attention_heads: Size = 64
    hidden_act: str = "silu"
    max_position_embeddings: Size = 8192
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-5
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 5
    eos_token_id: TokenIds = 255001
    tie_word_embeddings: bool = True
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: Probability = 0.0
    use_qk_norm: bool = False
