"""Configuration of Gemma 2."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import PositiveFloat, Size
from dovetail_models_text.gemma.configuration import GemmaConfig


class Gemma2Config(GemmaConfig):
    """Sizes and constants of a Gemma 2 model.

    Every other layer, the first being one, sees the last `sliding_window` positions only. Scores
    are divided by the root of `query_pre_attn_scalar` and bounded by `attn_logit_softcapping`,
    next-token logits by `final_logit_softcapping`; None is no bound.
    """

    model_type: ClassVar[str] = "gemma2"
    argument_moves: ClassVar[dict[str, str | None]] = {"hidden_act": None}

    hidden_activation: str | None = "gelu_pytorch_tanh"
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
