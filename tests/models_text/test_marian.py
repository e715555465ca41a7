"""Marian passes the batteries for encoder-decoders and, its decoder alone, for decoders."""

from __future__ import annotations

from dovetail import (
    MarianConfig,
    MarianForCausalLM,
    MarianModel,
    MarianMTModel,
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
    "pad_token_id": 1,
    "eos_token_id": 0,
    "decoder_start_token_id": 1,
}


class TestMarian(Seq2SeqConformance):
    config_class = MarianConfig
    model_classes = (
        MarianModel,
        MarianMTModel,
    )
    sizes = SIZES
    counts_left_padding = True


class TestMarianDecoder(CausalLMConformance):
    config_class = MarianConfig
    model_classes = (MarianForCausalLM,)
    sizes = SIZES | {"is_encoder_decoder": False, "is_decoder": True}
    unused = (r"encoder_attn",)  # there is no encoder
