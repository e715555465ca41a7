"""Configuration of T5."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import LayerCount, NonNegativeFloat, Probability, Size, TokenIds
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class T5Config(PretrainedConfig):
    """Sizes and constants of a T5 model; the defaults are those of ``t5-small``.

    `feed_forward_proj` is an activation, or ``gated-`` and an activation (T5 1.1): `dense_act_fn`
    and `is_gated_act` follow from it.
    """

    model_type: ClassVar[str] = "t5"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    }

    vocab_size: Size = 32128
    d_model: Size = 512
    d_kv: Size = 64
    d_ff: Size = 2048
    num_layers: LayerCount = 6
    num_decoder_layers: LayerCount | None = None
    num_heads: Size = 8
    relative_attention_num_buckets: Size = 32
    relative_attention_max_distance: Size = 128
    dropout_rate: Probability = 0.1
    layer_norm_epsilon: NonNegativeFloat = 1e-6
    initializer_factor: NonNegativeFloat = 1.0
    feed_forward_proj: str = "relu"
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: TokenIds = 0
    eos_token_id: TokenIds = 1
    classifier_dropout: Probability = 0.0

    def derive(self) -> None:
        """As many decoder as encoder layers unless said otherwise; the activation from
        `feed_forward_proj`."""
        self.num_decoder_layers = self.num_decoder_layers or self.num_layers
        gate, _, name = self.feed_forward_proj.rpartition("-")
        self.is_gated_act = gate == "gated"
        self.dense_act_fn = "gelu_new" if self.feed_forward_proj == "gated-gelu" else name

    def check(self) -> None:
        """Refuse a `feed_forward_proj` of another form."""
        if self.feed_forward_proj.count("-") > 1 or (
            "-" in self.feed_forward_proj and not self.is_gated_act
        ):
            raise ConfigError(
                f"feed_forward_proj={self.feed_forward_proj!r} must be an activation or 'gated-' "
                "and an activation, for instance 'relu' or 'gated-gelu'."
            )
