"""Configuration of Marian."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import Size, TokenIds
from dovetail_models_text.bart.configuration import TRANSLATORS, BartConfig


class MarianConfig(BartConfig):
    """`BartConfig` with fixed positions and embeddings that are not normalised.

    Unless `share_encoder_decoder_embeddings`, the decoder has a vocabulary of its own, of
    `decoder_vocab_size` tokens.
    """

    model_type: ClassVar[str] = "marian"
    argument_moves: ClassVar[dict[str, str | None]] = {
        **TRANSLATORS,
        "bos_token_id": None,
        "decoder_vocab_size": "vocab_size",
    }
    default_num_labels: ClassVar[int] = 2
    embedding_norm: ClassVar[bool] = False
    positions: ClassVar[str] = "sinusoidal"

    vocab_size: Size = 58101
    decoder_vocab_size: Size | None = None
    decoder_start_token_id: TokenIds = 58100
    pad_token_id: TokenIds = 58100
    bos_token_id: TokenIds = None
    eos_token_id: TokenIds = 0
    forced_eos_token_id: TokenIds = 0
    share_encoder_decoder_embeddings: bool = True

    def derive(self) -> None:
        """One vocabulary unless the decoder's is given."""
        super().derive()
        self.decoder_vocab_size = self.decoder_vocab_size or self.vocab_size
