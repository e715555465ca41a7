"""T5 passes the battery for encoder-decoders, in its first form and in that of version 1.1."""

from __future__ import annotations

from dovetail import (
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5ForQuestionAnswering,
    T5ForSequenceClassification,
    T5ForTokenClassification,
    T5Model,
)
from dovetail.testing.conformance import Seq2SeqConformance

SIZES = {
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "decoder_start_token_id": 0,
}


class TestT5(Seq2SeqConformance):
    config_class = T5Config
    model_classes = (
        T5Model,
        T5EncoderModel,
        T5ForConditionalGeneration,
        T5ForSequenceClassification,
        T5ForTokenClassification,
        T5ForQuestionAnswering,
    )
    encoder_only = ("T5EncoderModel", "T5ForTokenClassification")
    sizes = SIZES


class TestGatedT5(Seq2SeqConformance):
    config_class = T5Config
    model_classes = (T5Model, T5ForConditionalGeneration)
    sizes = SIZES | {
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "num_decoder_layers": 3,
    }
