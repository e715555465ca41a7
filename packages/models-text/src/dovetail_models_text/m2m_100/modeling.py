"""M2M-100: translation between any two of a hundred languages (arXiv 2010.11125).

BART's blocks with norms before and fixed positions that leave padding out.
"""

from __future__ import annotations

from typing import ClassVar

from dovetail.heads import TaskHead
from dovetail.modeling import INPUT_EMBEDDINGS
from dovetail.seq2seq import ForConditionalGeneration
from dovetail_models_text.bart.modeling import BartModel, BartPreTrainedModel
from dovetail_models_text.m2m_100.configuration import M2M100Config


class M2M100PreTrainedModel(BartPreTrainedModel):
    config_class = M2M100Config
    decoder_repeats_text = False
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        *BartPreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"embed_positions\.(weights|_float_tensor)$",
    ]


class M2M100Model(M2M100PreTrainedModel, BartModel):
    """Encoder and decoder without a head."""


class M2M100ForConditionalGeneration(ForConditionalGeneration, TaskHead, M2M100PreTrainedModel):
    """Translation; logits get no bias."""

    body_class = M2M100Model
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": INPUT_EMBEDDINGS}
