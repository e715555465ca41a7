"""Configuration of BLOOM."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class BloomConfig(PretrainedConfig):
    """Sizes and constants of a BLOOM model.

    With `apply_residual_connection_post_layernorm` a block adds to what it normalised. `n_embed` is
    an older name of `hidden_size`.
    """

    model_type: ClassVar[str] = "bloom"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
    }

    vocab_size: Size = 250880
    hidden_size: Size = 64
    n_layer: LayerCount = 2
    n_head: Size = 8
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    initializer_range: NonNegativeFloat = 0.02
    use_cache: bool = True
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    apply_residual_connection_post_layernorm: bool = False
    hidden_dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    pretraining_tp: Size = 1
    slow_but_exact: bool = False

    def derive(self) -> None:
        """The width, where only its older name is given."""
        self.hidden_size = self.__dict__.pop("n_embed", None) or self.hidden_size

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.hidden_size % self.n_head:
            raise ConfigError(
                f"n_head={self.n_head} does not divide hidden_size={self.hidden_size}."
            )
