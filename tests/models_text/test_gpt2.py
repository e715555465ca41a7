"""GPT-2 passes the battery for decoders."""

from __future__ import annotations

from dovetail import (
    GPT2Config,
    GPT2DoubleHeadsModel,
    GPT2ForQuestionAnswering,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    GPT2LMHeadModel,
    GPT2Model,
)
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "n_positions": 64,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "bos_token_id": 98,
    "eos_token_id": 98,
    "pad_token_id": 0,
}


class TestGPT2(CausalLMConformance):
    config_class = GPT2Config
    model_classes = (
        GPT2Model,
        GPT2LMHeadModel,
        GPT2DoubleHeadsModel,
        GPT2ForSequenceClassification,
        GPT2ForTokenClassification,
        GPT2ForQuestionAnswering,
    )
    sizes = SIZES
    unused = (r"\.multiple_choice_head\.",)  # its loss wants several texts for each row


class TestScaledGPT2(CausalLMConformance):
    config_class = GPT2Config
    model_classes = (GPT2LMHeadModel,)
    sizes = SIZES | {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}
