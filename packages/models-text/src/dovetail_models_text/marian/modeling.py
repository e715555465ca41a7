"""Marian: fast translation (arXiv 1804.00344); BART's blocks with fixed positions, and possibly one
vocabulary per language."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from dovetail.resizing import resize_embedding, resize_output
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

    def require_two_vocabularies(self, otherwise: str) -> None:
        """Refuse, and name the method `otherwise`, where both stacks have one vocabulary."""
        if self.config.share_encoder_decoder_embeddings:
            raise ValueError(
                "The decoder has no vocabulary of its own, since "
                f"config.share_encoder_decoder_embeddings is True: use {otherwise}."
            )

    def resize_decoder_token_embeddings(self, new_num_tokens: int) -> nn.Module:
        """Grow or shrink the decoder's own vocabulary to `new_num_tokens`; returns the new
        embedding."""
        self.require_two_vocabularies("resize_token_embeddings")
        decoder = self.get_decoder()
        decoder.embed_tokens = resize_embedding(
            decoder.embed_tokens, new_num_tokens, self._init_weights, mean_resizing=True
        )
        self.config.decoder_vocab_size = new_num_tokens
        self.tie_weights()
        return decoder.embed_tokens


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

    def get_decoder_input_embeddings(self) -> nn.Module:
        """The decoder's embedding of tokens, where it is its own; raises `ValueError` elsewhere."""
        self.require_two_vocabularies("get_input_embeddings")
        return self.decoder.embed_tokens

    def set_decoder_input_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder's own embedding of tokens."""
        self.require_two_vocabularies("set_input_embeddings")
        self.decoder.embed_tokens = value

    def _own_ties(self, prefix: str) -> dict[str, str]:
        return super()._own_ties(prefix) if self.config.share_encoder_decoder_embeddings else {}


class MarianMTModel(MarianPreTrainedModel, BartForConditionalGeneration):
    """Translation; checkpoints do without the positions, which are computed."""

    _keys_to_ignore_on_save: ClassVar[list[str]] = [
        "model.encoder.embed_positions.weight",
        "model.decoder.embed_positions.weight",
    ]
    body_class = MarianModel

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Grow or shrink the vocabulary, or the encoder's where the decoder has its own."""
        shared = self.config.share_encoder_decoder_embeddings
        owner = super() if shared else self.model
        return owner.resize_token_embeddings(*args, **kwargs)

    def resize_decoder_token_embeddings(self, new_num_tokens: int) -> nn.Module:
        """Grow or shrink the decoder's own vocabulary, and the logits over it."""
        self.require_two_vocabularies("resize_token_embeddings")
        tied = self.lm_head.weight is self.get_decoder().embed_tokens.weight
        resize_output(self.lm_head, new_num_tokens, self._init_weights, True, skip_weight=tied)
        BartForConditionalGeneration._after_resize(self, new_num_tokens)
        return super().resize_decoder_token_embeddings(new_num_tokens)

    def _own_ties(self, prefix: str) -> dict[str, str]:
        if self.config.share_encoder_decoder_embeddings or not self.config.tie_word_embeddings:
            return super()._own_ties(prefix)
        return {f"{prefix}lm_head.weight": f"{prefix}model.decoder.embed_tokens.weight"}


class MarianDecoderWrapper(MarianPreTrainedModel, BartDecoderWrapper):
    """Holds a decoder under the name that it has in a whole model."""


class MarianForCausalLM(MarianPreTrainedModel, BartForCausalLM):
    """Left-to-right language modelling by the decoder alone."""

    body_class = MarianDecoderWrapper
