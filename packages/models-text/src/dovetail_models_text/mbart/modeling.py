"""mBART: BART over many languages (arXiv 2001.08210), with norms before blocks and at the end."""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.context import check_tokens
from dovetail.losses import IGNORED
from dovetail_models_text.bart.modeling import (
    BartDecoderWrapper,
    BartEncoderDecoder,
    BartForCausalLM,
    BartForConditionalGeneration,
    BartForQuestionAnswering,
    BartForSequenceClassification,
    BartModel,
    BartPreTrainedModel,
)
from dovetail_models_text.mbart.configuration import MBartConfig


class MBartPreTrainedModel(BartPreTrainedModel):
    config_class = MBartConfig


class MBartEncoderDecoder(MBartPreTrainedModel, BartEncoderDecoder):
    """Base of the models with both stacks."""

    def shift_right(self, ids: Tensor | None) -> Tensor:
        """`ids` (B, T) moved one to the right, the last real one, a language code, put in front."""
        if ids is None:
            raise ValueError("Give input_ids, or decoder_input_ids or decoder_inputs_embeds.")
        pad = self.config.pad_token_id
        if pad is None:
            raise ValueError(
                "config.pad_token_id must be set to find the language code, the last real token."
            )
        check_tokens(ids)
        ids = ids.masked_fill(ids == IGNORED, pad)
        code = ids.gather(1, ids.ne(pad).sum(1, keepdim=True) - 1)
        return torch.cat((code, ids[:, :-1]), 1)


class MBartModel(MBartEncoderDecoder, BartModel):
    """Encoder and decoder without a head."""


class MBartForConditionalGeneration(MBartEncoderDecoder, BartForConditionalGeneration):
    """Translation, and denoising of many languages."""

    body_class = MBartModel


class MBartForSequenceClassification(MBartEncoderDecoder, BartForSequenceClassification):
    body_class = MBartModel


class MBartForQuestionAnswering(MBartEncoderDecoder, BartForQuestionAnswering):
    body_class = MBartModel


class MBartDecoderWrapper(MBartPreTrainedModel, BartDecoderWrapper):
    """Holds a decoder under the name that it has in a whole model."""


class MBartForCausalLM(MBartPreTrainedModel, BartForCausalLM):
    """Left-to-right language modelling by the decoder alone."""

    body_class = MBartDecoderWrapper
