"""M2M-100 passes the batteries for encoder-decoders."""

from __future__ import annotations

from dovetail import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Model,
)
from dovetail.testing.conformance import Seq2SeqConformance

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
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}


class TestM2M100(Seq2SeqConformance):
    config_class = M2M100Config
    model_classes = (
        M2M100Model,
        M2M100ForConditionalGeneration,
    )
    sizes = SIZES
