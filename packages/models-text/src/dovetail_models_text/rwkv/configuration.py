"""Configuration of RWKV."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Size, TokenIds
from dovetail.configs import PretrainedConfig


class RwkvConfig(PretrainedConfig):
    """Sizes and constants of an RWKV-4 model.

    `attention_hidden_size` is the width of time mixing, by default `hidden_size`, and
    `intermediate_size` that of channel mixing, by default four times as much. `context_length` is
    what the model was trained on; it can read further. At inference hidden states are halved after
    every `rescale_every` layers, so that float16 does not overflow; 0 is never.
    """

    model_type: ClassVar[str] = "rwkv"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["state"]
    attribute_map: ClassVar[dict[str, str]] = {"max_position_embeddings": "context_length"}

    vocab_size: Size = 50277
    context_length: Size = 1024
    hidden_size: Size = 4096
    num_hidden_layers: LayerCount = 32
    attention_hidden_size: Size | None = None
    intermediate_size: Size | None = None
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 0
    rescale_every: int = 6
    tie_word_embeddings: bool = False
    use_cache: bool = True

    def derive(self) -> None:
        """Fill in the widths that follow from `hidden_size`."""
        self.attention_hidden_size = self.attention_hidden_size or self.hidden_size
        self.intermediate_size = self.intermediate_size or 4 * self.hidden_size

    @property
    def layer_windows(self) -> list[int | None]:
        """No layer sees the tokens before: all have recurrent states."""
        return [0] * self.num_hidden_layers

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What a layer remembers of each text."""
        averages: Any = self.attention_hidden_size
        inputs = dict.fromkeys(("feed_forward", "attention"), (self.hidden_size,))
        return inputs | dict.fromkeys(("numerator", "denominator", "maximum"), (averages,))

    def halvings(self, layers: int) -> int:
        """How often hidden states were halved by the first `layers` layers."""
        return layers // self.rescale_every if self.rescale_every > 0 else 0
