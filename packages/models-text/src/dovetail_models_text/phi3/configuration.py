"""Configuration of Phi-3."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Probability, Size, TokenIds
from dovetail.errors import ConfigError
from dovetail_models_text.llama.configuration import DecoderConfig, SlidingWindows


class Phi3Config(DecoderConfig, SlidingWindows):
    """Sizes and constants of a Phi-3 model; the defaults are those of Phi-3 Mini 4K.

    A ``longrope`` scaling (``su`` or, though it is none, ``yarn`` in early files) changes its
    factors for texts beyond `original_max_position_embeddings`.
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

    def derive(self) -> None:
        """Fill in what follows from other fields; scalings get today's name, under the key that all
        releases read."""
        super().derive()
        scaling = dict(self.rope_scaling or {})
        kind = scaling.pop("rope_type", scaling.get("type"))
        if "long_factor" in scaling and kind in ("su", "yarn", "longrope"):
            self.rope_scaling = {**scaling, "type": "longrope"}

    def check(self) -> None:
        """Refuse head counts that do not divide, and factors that are no divisor per channel."""
        super().check()
        pairs = int(self.head_dim * getattr(self, "partial_rotary_factor", 1.0)) // 2  # type: ignore[operator]
        for name in ("short_factor", "long_factor"):
            if (count := len((self.rope_scaling or {}).get(name) or ())) not in (0, pairs):
                raise ConfigError(
                    f"rope_scaling[{name!r}] has {count} factors; a head of this model needs one "
                    f"for each of its {pairs} pairs of channels."
                )
