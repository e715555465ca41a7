"""Configuration of Gemma 2."""

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


class Gemma2Config(DecoderConfig):
    """Sizes and constants of a Gemma 2 model.

    Every other layer, the first being one, sees the last `sliding_window` positions only. Scores
    are divided by the root of `query_pre_attn_scalar` and bounded by `attn_logit_softcapping`,
    next-token logits by `final_logit_softcapping`; None is no bound.
    """

    model_type: ClassVar[str] = "gemma2"

    vocab_size: Size = 256000
    hidden_size: Size = 3072
    intermediate_size: Size = 24576
    num_hidden_layers: LayerCount = 28
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 16
    head_dim: Size | None = 256
    hidden_activation: str = "gelu_pytorch_tanh"
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
    query_pre_attn_scalar: PositiveFloat = 224
    sliding_window: Size | None = 4096
    final_logit_softcapping: PositiveFloat | None = 30.0
    attn_logit_softcapping: PositiveFloat | None = 50.0
    cache_implementation: str | None = "hybrid"

    @property
    def layer_windows(self) -> list[int | None]:
        """The window of each layer: local and global ones in turn."""
        return [
            None if index % 2 else self.sliding_window for index in range(self.num_hidden_layers)
        ]
