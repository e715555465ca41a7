"""BART passes the batteries for encoder-decoders and, its decoder alone, for decoders."""

from __future__ import annotations

from dovetail import (
    BartConfig,
    BartForCausalLM,
    BartForConditionalGeneration,
    BartForQuestionAnswering,
    BartForSequenceClassification,
    BartModel,
)
from dovetail.testing.conformance import CausalLMConformance, Seq2SeqConformance

SIZES = {
    "vocab_size": 99,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_position_embeddings": 64,
    "forced_eos_token_id": None,
    "scale_embedding": True,
}


class TestBart(Seq2SeqConformance):
    config_class = BartConfig
    model_classes = (
        BartModel,
        BartForConditionalGeneration,
        BartForSequenceClassification,
        BartForQuestionAnswering,
    )
    sizes = SIZES
    counts_left_padding = True


class TestBartDecoder(CausalLMConformance):
    config_class = BartConfig
    model_classes = (BartForCausalLM,)
    sizes = SIZES | {"is_encoder_decoder": False, "is_decoder": True}
    unused = (r"encoder_attn",)  # there is no encoder
