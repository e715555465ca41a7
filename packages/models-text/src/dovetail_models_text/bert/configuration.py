"""Configuration of BERT."""

from __future__ import annotations

from typing import ClassVar, Literal

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class BertConfig(PretrainedConfig):
    """Sizes and constants of a BERT model; the defaults are those of ``bert-base-uncased``.

    With `is_decoder` attention is causal; with `add_cross_attention` each layer also attends to an
    encoder.
    """

    model_type: ClassVar[str] = "bert"

    vocab_size: Size = 30522
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.1
    attention_probs_dropout_prob: Probability = 0.1
    max_position_embeddings: Size = 512
    type_vocab_size: Size = 2
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    pad_token_id: TokenIds = 0
    position_embedding_type: Literal["absolute", "relative_key", "relative_key_query"] = "absolute"
    use_cache: bool = True
    classifier_dropout: Probability | None = None

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )
