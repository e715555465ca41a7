"""Configuration of BART and of the encoder-decoders that are built of its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError

RELATIVES: Mapping[str, str | None] = {
    "use_cache": "decoder_layerdrop",
    "is_encoder_decoder": "use_cache",
    "num_labels": None,
}
"""How the positional arguments of relatives differ from BART's."""
TRANSLATORS: Mapping[str, str | None] = {
    **RELATIVES,
    "classifier_dropout": None,
    "decoder_start_token_id": "init_std",
}
"""The same of relatives that do not classify."""


class BartConfig(PretrainedConfig):
    """Sizes and constants of a BART model; the defaults are those of ``facebook/bart-large``.

    What no checkpoint changes are constants: `pre_norm`, whether blocks normalise what they read
    and stacks what they return, not what blocks add up; `embedding_norm`, whether embeddings are
    normalised; `positions`, which are ``learned``, ``sinusoidal`` or ``sinusoidal-unpadded`` (those
    count real tokens only); `enable_bias` and `layer_norm_elementwise_affine` are options of OPT.
    """

    model_type: ClassVar[str] = "bart"
    argument_moves: ClassVar[dict[str, str | None]] = {"num_labels": "use_cache"}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
    }
    default_num_labels: ClassVar[int] = 3
    pre_norm: ClassVar[bool] = False
    embedding_norm: ClassVar[bool] = True
    positions: ClassVar[str] = "learned"
    enable_bias: ClassVar[bool] = True
    layer_norm_elementwise_affine: ClassVar[bool] = True

    vocab_size: Size = 50265
    max_position_embeddings: Size = 1024
    encoder_layers: LayerCount = 12
    encoder_ffn_dim: Size = 4096
    encoder_attention_heads: Size = 16
    decoder_layers: LayerCount = 12
    decoder_ffn_dim: Size = 4096
    decoder_attention_heads: Size = 16
    encoder_layerdrop: Probability = 0.0
    decoder_layerdrop: Probability = 0.0
    activation_function: str = "gelu"
    d_model: Size = 1024
    dropout: Probability = 0.1
    attention_dropout: Probability = 0.0
    activation_dropout: Probability = 0.0
    init_std: NonNegativeFloat = 0.02
    classifier_dropout: Probability = 0.0
    scale_embedding: bool = False
    use_cache: bool = True
    pad_token_id: TokenIds = 1
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 2
    is_encoder_decoder: bool = True
    decoder_start_token_id: TokenIds = 2
    forced_eos_token_id: TokenIds = 2

    def derive(self) -> None:
        """The encoder's layers are the model's; an old flag says what the first token is."""
        self.num_hidden_layers = self.encoder_layers
        if getattr(self, "forced_bos_token_id", None) is None and getattr(
            self, "force_bos_token_to_be_generated", False
        ):
            self.forced_bos_token_id = self.bos_token_id

    def check(self) -> None:
        """Refuse head counts that do not divide, and sinusoids over an odd width."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ConfigError(
                    f"{name}={getattr(self, name)} does not divide d_model={self.d_model}."
                )
        if self.positions != "learned" and self.d_model % 2:
            raise ConfigError(
                f"d_model={self.d_model} is odd: sinusoidal positions need an even one."
            )

    @property
    def num_decoder_layers(self) -> int:
        """`decoder_layers`, by the name that caches ask for; so are the following."""
        return self.decoder_layers

    @property
    def num_key_value_heads(self) -> int:
        """`decoder_attention_heads`."""
        return self.decoder_attention_heads

    @property
    def head_dim(self) -> int:
        """Width of a head of the decoder."""
        return self.d_model // self.decoder_attention_heads
