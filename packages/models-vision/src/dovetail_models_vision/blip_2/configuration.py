"""Configurations of BLIP-2 and its three parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

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
from dovetail_models_vision.vit.configuration import check_heads, check_patches


class Blip2VisionConfig(PretrainedConfig):
    """Sizes and constants of the image encoder; the defaults are those of
    ``Salesforce/blip2-opt-2.7b``."""

    model_type: ClassVar[str] = "blip_2_vision_model"
    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: Size = 1408
    intermediate_size: Size = 6144
    num_hidden_layers: LayerCount = 39
    num_attention_heads: Size = 16
    image_size: Size = 224
    patch_size: Size = 14
    hidden_act: str = "gelu"
    layer_norm_eps: NonNegativeFloat = 1e-6
    attention_dropout: Probability = 0.0
    initializer_range: NonNegativeFloat = 1e-10
    qkv_bias: bool = True

    def check(self) -> None:
        """Refuse head counts that do not divide, and patches larger than the image."""
        check_heads(self.hidden_size, self.num_attention_heads)
        check_patches(self.image_size, self.patch_size)


class QFormerConfig(PretrainedConfig):
    """Sizes and constants of a Q-Former. Every `cross_attention_frequency`-th layer attends to
    pictures, whose states are `encoder_hidden_size` wide."""

    base_config_key: ClassVar[str] = "qformer_config"

    vocab_size: Size = 30522
    hidden_size: Size = 768
    num_hidden_layers: LayerCount = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Probability = 0.1
    attention_probs_dropout_prob: Probability = 0.1
    max_position_embeddings: Size = 512
    initializer_range: NonNegativeFloat = 0.02
    layer_norm_eps: NonNegativeFloat = 1e-12
    pad_token_id: TokenIds = 0
    position_embedding_type: str = "absolute"
    cross_attention_frequency: Size = 2
    encoder_hidden_size: Size = 1408

    def check(self) -> None:
        """Refuse head counts that do not divide."""
        check_heads(self.hidden_size, self.num_attention_heads)


class Blip2QFormerConfig(QFormerConfig):
    """A Q-Former which reads texts, too, with `use_qformer_text_input`."""

    model_type: ClassVar[str] = "blip_2_qformer"

    use_qformer_text_input: bool = False


class QueryingConfig(PretrainedConfig):
    """Base of the configs of an image encoder, a Q-Former with `num_query_tokens` queries, and a
    language model of any architecture, OPT where `text_config` does not say."""

    is_composition: ClassVar[bool] = True

    vision_config: Any = None
    qformer_config: Any = None
    text_config: Any = None
    num_query_tokens: Size = 32

    def _set_sub_configs(self, values: dict[str, Any]) -> None:
        given = values.get("text_config")
        if given is None or (isinstance(given, Mapping) and "model_type" not in given):
            values["text_config"] = {**(given or {}), "model_type": "opt"}
        super()._set_sub_configs(values)

    def derive(self) -> None:
        """The Q-Former attends to what the image encoder returns."""
        self.tie_word_embeddings = self.text_config.tie_word_embeddings
        self.is_encoder_decoder = self.text_config.is_encoder_decoder
        self.use_decoder_only_language_model = not self.is_encoder_decoder
        self.qformer_config.encoder_hidden_size = self.vision_config.hidden_size
        self.initializer_factor = 1.0
        self.initializer_range = 0.02

    @classmethod
    def from_vision_qformer_text_configs(
        cls,
        vision_config: PretrainedConfig,
        qformer_config: PretrainedConfig,
        text_config: PretrainedConfig | None = None,
        **kwargs: Any,
    ) -> Self:
        """The config of a model with these parts."""
        text = None if text_config is None else text_config.to_dict()
        return cls(
            vision_config=vision_config.to_dict(),
            qformer_config=qformer_config.to_dict(),
            text_config=text,
            **kwargs,
        )


class Blip2Config(QueryingConfig):
    """A whole BLIP-2. `image_token_index` is the token in whose places pictures are put, None where
    they go in front of the text; `image_text_hidden_size` is where pictures and texts meet."""

    model_type: ClassVar[str] = "blip-2"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": Blip2VisionConfig,
        "qformer_config": Blip2QFormerConfig,
        "text_config": "auto",
    }

    image_text_hidden_size: Size = 256
    image_token_index: TokenId | None = None


def check_reads_text(config: Blip2Config) -> None:
    """Refuse a Q-Former without layers for texts."""
    if not config.qformer_config.use_qformer_text_input:
        raise ConfigError(
            "qformer_config.use_qformer_text_input=False: this model reads texts with its "
            "Q-Former, so set it to True."
        )
