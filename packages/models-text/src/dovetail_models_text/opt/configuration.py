"""Configuration of OPT."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class OPTConfig(PretrainedConfig):
    """Sizes and constants of an OPT model; the defaults are those of ``facebook/opt-125m``.

    Tokens are embedded in `word_embed_proj_dim` channels, by default `hidden_size`, and projected
    if those differ. The constants and properties at the end are what BART's blocks ask for.
    """

    model_type: ClassVar[str] = "opt"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    activation_dropout: ClassVar[float] = 0.0

    vocab_size: Size = 50272
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    ffn_dim: Size = 3072
    max_position_embeddings: Size = 2048
    do_layer_norm_before: bool = True
    _remove_final_layer_norm: bool = False
    word_embed_proj_dim: Size | None = None
    dropout: Probability = 0.1
    attention_dropout: Probability = 0.0
    num_attention_heads: Size = 12
    activation_function: str = "relu"
    layerdrop: Probability = 0.0
    init_std: NonNegativeFloat = 0.02
    use_cache: bool = True
    pad_token_id: TokenIds = 1
    bos_token_id: TokenIds = 2
    eos_token_id: TokenIds = 2
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True

    def derive(self) -> None:
        """Embeddings are as wide as the model unless said otherwise."""
        self.word_embed_proj_dim = self.word_embed_proj_dim or self.hidden_size

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads} does not divide "
                f"hidden_size={self.hidden_size}."
            )

    @property
    def d_model(self) -> int:
        """`hidden_size`."""
        return self.hidden_size

    @property
    def decoder_ffn_dim(self) -> int:
        """`ffn_dim`."""
        return self.ffn_dim

    @property
    def decoder_attention_heads(self) -> int:
        """`num_attention_heads`."""
        return self.num_attention_heads

    @property
    def pre_norm(self) -> bool:
        """`do_layer_norm_before`."""
        return self.do_layer_norm_before
