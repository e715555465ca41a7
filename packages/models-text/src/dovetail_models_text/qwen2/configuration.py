"""Configuration of Qwen 2."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    NonNegative,
    NonNegativeFloat,
    PositiveFloat,
    Probability,
    Size,
)
from dovetail_models_text.llama.configuration import DecoderConfig, SlidingWindows


class Qwen2Config(DecoderConfig, SlidingWindows):
    """Sizes and constants of a Qwen 2 model.

    With `use_sliding_window` the layers from `max_window_layers` on see the last `sliding_window`
    positions only; without it `sliding_window` becomes None. Some files say 0 for none.
    """

    model_type: ClassVar[str] = "qwen2"
    qkv_bias: ClassVar[bool] = True

    vocab_size: Size = 151936
    intermediate_size: Size = 22016
    num_key_value_heads: Size | None = 32
    hidden_act: str = "silu"
    max_position_embeddings: Size = 32768
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None
    use_sliding_window: bool = False
    sliding_window: NonNegative | None = 4096
    max_window_layers: NonNegative = 28
    attention_dropout: Probability = 0.0

    def derive(self) -> None:
        """Fill in what follows from other fields."""
        super().derive()
        self.sliding_window = (self.sliding_window or None) if self.use_sliding_window else None

    def is_local(self, layer_idx: int) -> bool:
        """Whether the layer has the window: from `max_window_layers` on."""
        return layer_idx >= self.max_window_layers
