"""mBART passes the batteries for encoder-decoders and, its decoder alone, for decoders."""

from __future__ import annotations

from pathlib import Path

import pytest

import dovetail
from dovetail import (
    MBartConfig,
    MBartForCausalLM,
    MBartForConditionalGeneration,
    MBartForQuestionAnswering,
    MBartForSequenceClassification,
    MBartModel,
    MBartTokenizer,
)
from dovetail.testing.conformance import CausalLMConformance, Seq2SeqConformance

VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenizers" / "unigram.model"
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
    "decoder_start_token_id": 7,
}


class TestMBart(Seq2SeqConformance):
    config_class = MBartConfig
    model_classes = (
        MBartModel,
        MBartForConditionalGeneration,
        MBartForSequenceClassification,
        MBartForQuestionAnswering,
    )
    sizes = SIZES
    counts_left_padding = True


class TestMBartDecoder(CausalLMConformance):
    config_class = MBartConfig
    model_classes = (MBartForCausalLM,)
    sizes = SIZES | {"is_encoder_decoder": False, "is_decoder": True}
    unused = (r"encoder_attn",)  # there is no encoder


def test_tokenizer_marks_languages_as_the_reference_does():
    tokenizer = MBartTokenizer(str(VOCABULARY), tgt_lang="ro_RO")
    text = "Hello world this"
    assert tokenizer(text).input_ids == [5, 124, 69, 10, 6, 30, 34, 21, 22, 2, 137]
    tokenizer.src_lang = "fr_XX"
    assert tokenizer(text).input_ids[-2:] == [2, 141]
    assert tokenizer(text_target="Hello world").input_ids == [5, 124, 69, 10, 6, 30, 2, 153]
    assert tokenizer("Hi <mask> there").input_ids == [5, 124, 21, 159, 34, 8, 11, 8, 2, 141]


def test_an_unknown_language_changes_nothing():
    tokenizer = MBartTokenizer(str(VOCABULARY))
    with pytest.raises(ValueError, match="'xx' is no language"):
        tokenizer.src_lang = "xx"
    assert tokenizer.src_lang == "en_XX"
    assert tokenizer("Hello").input_ids[-2:] == [2, tokenizer.lang_code_to_id["en_XX"]]


@pytest.mark.parametrize("name", ["MBart50Tokenizer", "MBart50TokenizerFast"])
def test_fifty_languages_stand_before_texts(name, tmp_path):
    tokenizer = getattr(dovetail, name)(str(VOCABULARY), "ro_RO", "uk_UA")
    assert tokenizer("Hello world").input_ids == [153, 5, 124, 69, 10, 6, 30, 2]
    assert tokenizer(text_target="Hello world").input_ids[0] == 181
    assert tokenizer.lang_code_to_id["sl_SI"] == 185
    assert tokenizer.bos_token is None
    tokenizer.save_pretrained(tmp_path)
    again = dovetail.AutoTokenizer.from_pretrained(tmp_path, src_lang="gl_ES")
    assert type(again) is type(tokenizer)
    assert again("Hello world").input_ids == [184, 5, 124, 69, 10, 6, 30, 2]
    assert again.tgt_lang == "uk_UA"
