"""Configuration of Pegasus."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import TokenIds
from dovetail_models_text.bart.configuration import TRANSLATORS, BartConfig


class PegasusConfig(BartConfig):
    """`BartConfig` with norms before blocks, fixed positions and embeddings that are not
    normalised."""

    model_type: ClassVar[str] = "pegasus"
    argument_moves: ClassVar[dict[str, str | None]] = {**TRANSLATORS, "bos_token_id": None}
    default_num_labels: ClassVar[int] = 2
    pre_norm: ClassVar[bool] = True
    embedding_norm: ClassVar[bool] = False
    positions: ClassVar[str] = "sinusoidal"

    decoder_start_token_id: TokenIds = 0
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = None
    eos_token_id: TokenIds = 1
    forced_eos_token_id: TokenIds = 1
