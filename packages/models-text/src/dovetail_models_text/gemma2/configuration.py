"""Configuration of Gemma 2."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import PositiveFloat, Size
from dovetail_models_text.gemma.configuration import GemmaConfig
from dovetail_models_text.llama.configuration import SlidingWindows


class Gemma2Config(GemmaConfig, SlidingWindows):
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

    def is_local(self, layer_idx: int) -> bool:
        """Whether the layer has the window: every other one, the first being one."""
        return layer_idx % 2 == 0
