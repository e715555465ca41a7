"""BERT passes the batteries for encoders and, as a decoder, for decoders."""

from __future__ import annotations

from dovetail import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertLMHeadModel,
    BertModel,
)
from dovetail.testing.conformance import CausalLMConformance, EncoderConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}


class TestBert(EncoderConformance):
    config_class = BertConfig
    model_classes = (
        BertModel,
        BertForMaskedLM,
        BertForPreTraining,
        BertForNextSentencePrediction,
        BertForMultipleChoice,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertForQuestionAnswering,
    )
    sizes = SIZES
    unused = (r"ForMultipleChoice\.classifier\.bias",)  # the same for every choice


class TestBertDecoder(CausalLMConformance):
    config_class = BertConfig
    model_classes = (BertLMHeadModel,)
    sizes = SIZES | {"is_decoder": True}


class TestRelativeBert(EncoderConformance):
    config_class = BertConfig
    model_classes = (BertForMaskedLM,)
    sizes = SIZES | {"position_embedding_type": "relative_key_query"}
    unused = (r"\.position_embeddings",)
