"""Marian: fast translation (arXiv 1804.00344); BART's blocks with fixed positions, and possibly one
vocabulary per language."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from dovetail_models_text.bart.modeling import (
    COMPUTED,
    BartDecoderWrapper,
    BartForCausalLM,
    BartForConditionalGeneration,
    BartModel,
    BartPreTrainedModel,
)
from dovetail_models_text.marian.configuration import MarianConfig


class MarianPreTrainedModel(BartPreTrainedModel):
    config_class = MarianConfig
    decoder_repeats_text = False
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = COMPUTED

    def _after_resize(self, size: int) -> None:
        if self.config.share_encoder_decoder_embeddings:  # else only the encoder's has changed
            self.config.decoder_vocab_size = size
            super()._after_resize(size)


class MarianModel(MarianPreTrainedModel, BartModel):
    """Encoder and decoder without a head."""

    def __init__(self, config: MarianConfig) -> None:
        super().__init__(config)
        if not config.share_encoder_decoder_embeddings:
            self.shared = None

    def get_input_embeddings(self) -> nn.Module:
        """The encoder's embedding of tokens."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the shared embedding and both stacks' copies, or the encoder's own."""
        if self.shared is None:
            self.encoder.embed_tokens = value
        else:
            super().set_input_embeddings(value)

    def _own_ties(self, prefix: str) -> dict[str, str]:
        return super()._own_ties(prefix) if self.config.share_encoder_decoder_embeddings else {}


class MarianMTModel(MarianPreTrainedModel, BartForConditionalGeneration):
    """Translation; checkpoints do without the positions, which are computed."""

    _keys_to_ignore_on_save: ClassVar[list[str]] = [
        "model.encoder.embed_positions.weight",
        "model.decoder.embed_positions.weight",
    ]
    body_class = MarianModel

    def _own_ties(self, prefix: str) -> dict[str, str]:
        if self.config.share_encoder_decoder_embeddings or not self.config.tie_word_embeddings:
            return super()._own_ties(prefix)
        return {f"{prefix}lm_head.weight": f"{prefix}model.decoder.embed_tokens.weight"}


class MarianDecoderWrapper(MarianPreTrainedModel, BartDecoderWrapper):
    """Holds a decoder under the name that it has in a whole model."""


class MarianForCausalLM(MarianPreTrainedModel, BartForCausalLM):
    """Left-to-right language modelling by the decoder alone."""

    body_class = MarianDecoderWrapper
