"""Pairs of an encoder and a decoder of text pass the battery; and what is peculiar to pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail import (
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertLMHeadModel,
    BertModel,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import Seq2SeqConformance

BERT = {
    "model_type": "bert",
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
DECODER = {**BERT, "is_decoder": True, "add_cross_attention": True}
SIZES: dict[str, Any] = {
    "encoder": {**BERT, "hidden_size": 40},
    "decoder": DECODER,
    "pad_token_id": 0,
    "decoder_start_token_id": 3,
    "eos_token_id": 2,
}


class TestEncoderDecoder(Seq2SeqConformance):
    config_class = EncoderDecoderConfig
    model_classes = (EncoderDecoderModel,)
    sizes = SIZES
    unused = (r"encoder\.pooler", r"key\.bias")
    counts_left_padding = True

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"labels": inputs.get("decoder_input_ids", torch.ones(2, 5).long())}

    test_vocabulary_grows_and_shrinks = None  # type: ignore[assignment] # each half has its own


def halves(**changes: Any) -> tuple[BertModel, BertLMHeadModel]:
    torch.manual_seed(0)
    values = {name: value for name, value in BERT.items() if name != "model_type"}
    encoder = BertModel(BertConfig(**values)).eval()
    return encoder, BertLMHeadModel(BertConfig(**{**values, **changes})).eval()


def test_two_checkpoints_become_a_pair(tmp_path: Path):
    encoder, decoder = halves()
    encoder.save_pretrained(tmp_path / "encoder")
    decoder.save_pretrained(tmp_path / "decoder")
    pair = EncoderDecoderModel.from_encoder_decoder_pretrained(
        tmp_path / "encoder",
        tmp_path / "decoder",
        encoder_hidden_dropout_prob=0.25,
        pad_token_id=0,
    )
    assert (pair.config.encoder.hidden_dropout_prob, pair.config.pad_token_id) == (0.25, 0)
    assert pair.config.decoder.is_decoder
    assert pair.config.decoder.add_cross_attention
    kept = decoder.bert.embeddings.word_embeddings.weight
    torch.testing.assert_close(pair.decoder.bert.embeddings.word_embeddings.weight, kept)
    pair.config.decoder_start_token_id = 1
    pair.save_pretrained(tmp_path / "pair")
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "pair")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids, labels=ids).loss, pair.eval()(ids, labels=ids).loss)


def test_halves_at_hand_become_a_pair():
    encoder, _ = halves()
    decoder = BertLMHeadModel(BertConfig(**{**DECODER, "hidden_size": 16}))
    pair = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    assert pair.encoder is encoder
    assert pair.config.encoder is encoder.config
    assert tuple(pair.enc_to_dec_proj.weight.shape) == (16, 32)
    again = EncoderDecoderModel.from_encoder_decoder_pretrained(
        encoder_model=encoder, decoder_model=decoder
    )
    assert again.decoder is decoder


def test_tied_halves_are_one():
    pair = EncoderDecoderModel(
        EncoderDecoderConfig(**{**SIZES, "encoder": BERT, "tie_encoder_decoder": True})
    )
    assert pair.encoder.encoder.layer[0].output.dense.weight is (
        pair.decoder.bert.encoder.layer[0].output.dense.weight
    )
    assert "pooler" not in " ".join(pair.tied_weights())


def test_halves_that_do_not_fit_are_refused():
    encoder, decoder = halves()
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=99,
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=1,
            num_attention_heads=4,
        )
    )
    with pytest.raises(ConfigError, match="LlamaForCausalLM cannot attend to an encoder"):
        EncoderDecoderModel(encoder=encoder, decoder=llama)
    with pytest.raises(ConfigError, match="BertLMHeadModel has a language head"):
        EncoderDecoderModel(encoder=halves()[1], decoder=decoder)
    wide = {**DECODER, "cross_attention_hidden_size": 24}
    with pytest.raises(ConfigError, match="cross_attention_hidden_size=24"):
        EncoderDecoderModel(EncoderDecoderConfig(**{**SIZES, "decoder": wide}))
    with pytest.raises(ConfigError, match="lacks decoder"):
        EncoderDecoderConfig(encoder=BERT)
    with pytest.raises(ConfigError, match="model_type=None"):
        EncoderDecoderConfig(encoder={"hidden_size": 3}, decoder=DECODER)
    with pytest.raises(ValueError, match="both an encoder and a decoder"):
        EncoderDecoderModel(encoder=encoder)
    with pytest.raises(ValueError, match="encoder_pretrained_model_name_or_path is None"):
        EncoderDecoderModel.from_encoder_decoder_pretrained()
    with pytest.raises(ValueError, match="two halves"):
        EncoderDecoderModel(EncoderDecoderConfig(**SIZES)).resize_token_embeddings(100)
