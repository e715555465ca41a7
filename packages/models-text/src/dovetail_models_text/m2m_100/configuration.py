"""Configuration of M2M-100."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import Probability, Size, TokenIds
from dovetail_models_text.bart.configuration import TRANSLATORS, BartConfig


class M2M100Config(BartConfig):
    """`BartConfig` with norms before blocks, scaled embeddings and fixed positions that leave
    padding out; the defaults are those of ``facebook/m2m100_418M``."""

    model_type: ClassVar[str] = "m2m_100"
    argument_moves: ClassVar[dict[str, str | None]] = {**TRANSLATORS, "forced_eos_token_id": None}
    default_num_labels: ClassVar[int] = 2
    pre_norm: ClassVar[bool] = True
    embedding_norm: ClassVar[bool] = False
    positions: ClassVar[str] = "sinusoidal-unpadded"

    vocab_size: Size = 128112
    encoder_layerdrop: Probability = 0.05
    decoder_layerdrop: Probability = 0.05
    activation_function: str = "relu"
    attention_dropout: Probability = 0.1
    scale_embedding: bool = True
    forced_eos_token_id: TokenIds = None
