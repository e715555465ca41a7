"""Configuration of AcmeExample."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import NonNegativeFloat, PositiveFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class AcmeExampleConfig(PretrainedConfig):
    """Sizes and constants of an AcmeExample model. Fields are checked when a config is read."""

    model_type: ClassVar[str] = "acme_example"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    vocab_size: Size = 32000
    hidden_size: Size = 512
    intermediate_size: Size = 1536
    num_hidden_layers: Size = 8
    num_attention_heads: Size = 8
    max_position_embeddings: Size = 2048
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 0.02
    rms_norm_eps: PositiveFloat = 1e-6
    rope_theta: PositiveFloat = 10000.0
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    tie_word_embeddings: bool = True

    def check(self) -> None:
        """Refuse sizes that do not go together."""
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ConfigError(
                f"hidden_size={self.hidden_size} must be an even multiple of "
                f"num_attention_heads={self.num_attention_heads}."
            )
