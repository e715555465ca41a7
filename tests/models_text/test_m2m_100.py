"""M2M-100 passes the batteries for encoder-decoders."""

from __future__ import annotations

import json
from pathlib import Path

from dovetail import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Model,
    M2M100Tokenizer,
)
from dovetail.testing.conformance import Seq2SeqConformance
from dovetail.tokenizers.convert.sentencepiece import SentencePieceModel

MODEL = Path(__file__).parents[1] / "golden" / "tokenizers" / "unigram.model"
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


def test_tokenizer_marks_languages_as_the_reference_does(tmp_path: Path):
    pieces = sorted({piece for piece, _ in SentencePieceModel.from_file(MODEL).scores[3:]})
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    tokenizer = M2M100Tokenizer(str(vocabulary), str(MODEL), src_lang="en", tgt_lang="fr")
    assert tokenizer("Hello world this").input_ids == [
        *(152, 100, 22, 33, 43, 48, 121, 118, 39, 54, 2)
    ]
    assert tokenizer("Où est l'Été?").input_ids == [
        *(152, 100, 3, 100, 32, 54, 55, 100, 43, 7, 3, 55, 69, 3, 2)
    ]
    assert tokenizer(text_target="Hello").input_ids == [158, 100, 22, 33, 43, 48, 2]
    assert tokenizer.get_lang_id("zu") == 233
    tokenizer.save_pretrained(tmp_path / "saved")
    again = M2M100Tokenizer.from_pretrained(tmp_path / "saved")
    assert again("the fox", "lazy dog").input_ids == [
        *(152, 118, 32, 110, 62, 100, 43, 26, 64, 63, 108, 48, 36, 2)
    ]
