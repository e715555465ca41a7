"""Pegasus passes the batteries for encoder-decoders and, its decoder alone, for decoders."""

from __future__ import annotations

from dovetail import (
    PegasusConfig,
    PegasusForCausalLM,
    PegasusForConditionalGeneration,
    PegasusModel,
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
}


class TestPegasus(Seq2SeqConformance):
    config_class = PegasusConfig
    model_classes = (
        PegasusModel,
        PegasusForConditionalGeneration,
    )
    sizes = SIZES
    counts_left_padding = True


class TestPegasusDecoder(CausalLMConformance):
    config_class = PegasusConfig
    model_classes = (PegasusForCausalLM,)
    sizes = SIZES | {"is_encoder_decoder": False, "is_decoder": True}
    unused = (r"encoder_attn",)  # there is no encoder
