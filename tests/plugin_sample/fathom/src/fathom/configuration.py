"""Configuration of Fathom."""

from typing import ClassVar

from dovetail.config_fields import Size, TokenIds
from dovetail.configs import PretrainedConfig


class FathomConfig(PretrainedConfig):
    """Sizes of a Fathom model."""

    model_type: ClassVar[str] = "fathom"
    attribute_map: ClassVar[dict[str, str]] = {"n_layer": "num_hidden_layers"}

    vocab_size: Size = 64
    hidden_size: Size = 32
    num_hidden_layers: Size = 2
    num_attention_heads: Size = 4
    max_position_embeddings: Size = 128
    initializer_range: float = 0.2
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 1
    eos_token_id: TokenIds = 2
    tie_word_embeddings: bool = True
