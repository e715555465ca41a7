"""Configuration of mBART."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import TokenIds
from dovetail_models_text.bart.configuration import RELATIVES, BartConfig


class MBartConfig(BartConfig):
    """`BartConfig` with norms before blocks; texts are told apart by language codes at their
    end."""

    model_type: ClassVar[str] = "mbart"
    argument_moves: ClassVar[dict[str, str | None]] = {**RELATIVES, "decoder_start_token_id": None}
    default_num_labels: ClassVar[int] = 2
    pre_norm: ClassVar[bool] = True

    decoder_start_token_id: TokenIds = None
