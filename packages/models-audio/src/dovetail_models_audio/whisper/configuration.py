"""Configuration of Whisper."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.config_fields import (
    LayerCount,
    NonNegativeFloat,
    Probability,
    Size,
    TokenId,
    TokenIds,
)
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class WhisperConfig(PretrainedConfig):
    """Sizes and constants of a Whisper model; the defaults are those of ``openai/whisper-tiny``.

    The encoder reads exactly ``2 * max_source_positions`` frames of `num_mel_bins` energies, the
    decoder writes at most `max_target_positions` tokens. `mask_time_prob` and what follows say what
    training hides of the energies with `apply_spec_augment` (arXiv 1904.08779). What blocks of BART
    ask for and no checkpoint changes are constants.
    """

    model_type: ClassVar[str] = "whisper"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "num_key_value_heads": "encoder_attention_heads",
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
    }
    pre_norm: ClassVar[bool] = True
    enable_bias: ClassVar[bool] = True
    layer_norm_elementwise_affine: ClassVar[bool] = True

    vocab_size: Size = 51865
    num_mel_bins: Size = 80
    encoder_layers: LayerCount = 4
    encoder_attention_heads: Size = 6
    decoder_layers: LayerCount = 4
    decoder_attention_heads: Size = 6
    decoder_ffn_dim: Size = 1536
    encoder_ffn_dim: Size = 1536
    encoder_layerdrop: Probability = 0.0
    decoder_layerdrop: Probability = 0.0
    decoder_start_token_id: TokenIds = 50257
    use_cache: bool = True
    is_encoder_decoder: bool = True
    activation_function: str = "gelu"
    d_model: Size = 384
    dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    activation_dropout: Probability = 0.0
    init_std: NonNegativeFloat = 0.02
    scale_embedding: bool = False
    max_source_positions: Size = 1500
    max_target_positions: Size = 448
    pad_token_id: TokenId | None = 50256
    bos_token_id: TokenIds = 50256
    eos_token_id: TokenIds = 50256
    suppress_tokens: Any = None
    begin_suppress_tokens: Any = (220, 50256)
    use_weighted_layer_sum: bool = False
    classifier_proj_size: Size = 256
    apply_spec_augment: bool = False
    mask_time_prob: Probability = 0.05
    mask_time_length: Size = 10
    mask_time_min_masks: int = 2
    mask_feature_prob: Probability = 0.0
    mask_feature_length: Size = 10
    mask_feature_min_masks: int = 0
    median_filter_width: Size = 7

    def derive(self) -> None:
        """The encoder's layers are the model's; token lists are lists."""
        self.num_hidden_layers = self.encoder_layers
        if isinstance(self.begin_suppress_tokens, tuple):
            self.begin_suppress_tokens = list(self.begin_suppress_tokens)

    def check(self) -> None:
        """Refuse head counts that do not divide, and sinusoids over an odd width."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                raise ConfigError(
                    f"{name}={getattr(self, name)} does not divide d_model={self.d_model}."
                )
        if self.d_model % 2:
            raise ConfigError(
                f"d_model={self.d_model} is odd: sinusoidal positions need an even one."
            )

    @property
    def num_decoder_layers(self) -> int:
        """`decoder_layers`, by the name that caches ask for; so is the following."""
        return self.decoder_layers

    @property
    def head_dim(self) -> int:
        """Width of a head of the decoder."""
        return self.d_model // self.decoder_attention_heads
