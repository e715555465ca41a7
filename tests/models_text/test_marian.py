"""Marian passes the batteries for encoder-decoders and, its decoder alone, for decoders."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail import (
    MarianConfig,
    MarianForCausalLM,
    MarianModel,
    MarianMTModel,
    MarianTokenizer,
)
from dovetail.errors import TokenizerError
from dovetail.testing.conformance import CausalLMConformance, Seq2SeqConformance
from dovetail.tokenizers.convert.sentencepiece import SentencePieceModel

TOKENIZERS = Path(__file__).parents[1] / "golden" / "tokenizers"

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


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_with_its_own_vocabulary_is_resized_by_itself(tied: bool):
    config = MarianConfig(
        **SIZES | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 60},
        tie_word_embeddings=tied,
    )
    model = MarianMTModel(config)
    assert model.resize_token_embeddings(120).num_embeddings == 120
    kept = model.lm_head.weight[:60].clone()
    assert model.resize_decoder_token_embeddings(70).num_embeddings == 70
    assert torch.equal(model.lm_head.weight[:60], kept)
    assert (config.vocab_size, config.decoder_vocab_size) == (120, 70)
    assert model.final_logits_bias.shape == (1, 70)
    assert (model.lm_head.weight is model.get_decoder().embed_tokens.weight) is tied
    tokens = torch.tensor([[5, 6, 0]])
    assert model(tokens, labels=tokens).logits.shape == (1, 3, 70)
    assert model.model.get_decoder_input_embeddings().num_embeddings == 70


def test_one_vocabulary_is_resized_as_a_whole():
    model = MarianMTModel(MarianConfig(**SIZES))
    with pytest.raises(ValueError, match="use resize_token_embeddings"):
        model.resize_decoder_token_embeddings(70)
    with pytest.raises(ValueError, match="use get_input_embeddings"):
        model.model.get_decoder_input_embeddings()


def pieces(name: str) -> list[str]:
    """The pieces of a SentencePiece model without its special ones."""
    return [piece for piece, _ in SentencePieceModel.from_file(TOKENIZERS / name).scores[4:]]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """The arguments of a tokenizer: one vocabulary for both sides, and one for targets alone."""
    source, target = pieces("unigram.model"), pieces("char.model")
    shared = ["</s>", "<unk>", *dict.fromkeys(source + target), ">>fr<<", ">>de<<", "<pad>"]
    vocabularies = {"vocab": shared, "target_vocab_file": ["</s>", "<unk>", *target[::-1], "<pad>"]}
    paths: dict[str, Any] = {}
    for name, tokens in vocabularies.items():
        paths[name] = str(tmp_path / f"{name}.json")
        ids = {token: index for index, token in enumerate(tokens)}
        Path(paths[name]).write_text(json.dumps(ids))
    return paths | {
        "source_spm": str(TOKENIZERS / "unigram.model"),
        "target_spm": str(TOKENIZERS / "char.model"),
    }


TEXTS = ("Hello world this", ">>fr<< Hello world", "the fox  jumps, l'Été?", "日本 a <s>")
AS_SOURCE = (
    [2, 121, 66, 7, 3, 27, 31, 18, 19, 0],
    [131, 2, 121, 66, 7, 3, 27, 0],
    [31, 5, 58, 23, 2, 90, 10, 67, 30, 19, 6, 2, 7, 80, 1, 9, 94, 1, 0],
    [2, 43, 1, 14, 2, 1, 19, 1, 0],
)
AS_TARGET = (
    [2, 121, 5, 7, 7, 3, 2, 68, 3, 8, 7, 29, 2, 9, 33, 18, 19, 0],
    [131, 2, 121, 5, 7, 7, 3, 2, 68, 3, 8, 7, 29, 0],
    [2, 9, 33, 5, 2, 13, 3, 23, 2, 90, 10, 67, 30, 19, 6, 2, 7, 80, 1, 9, 94, 1, 0],
    [2, 43, 1, 2, 4, 2, 1, 19, 1, 0],
)
DECODED = ("Hello world this", ">>fr<< Hello world", "the fox jumps, l'té", "日 a s")


def test_tokenizer_splits_each_side_as_the_reference_does(files: dict[str, Any], tmp_path: Path):
    tokenizer = MarianTokenizer(**files)
    tokenizer.save_pretrained(tmp_path / "saved")
    again = MarianTokenizer.from_pretrained(tmp_path / "saved")
    for one in (tokenizer, again, copy.deepcopy(tokenizer)):
        assert one(list(TEXTS)).input_ids == list(AS_SOURCE)
        assert one(text_target=list(TEXTS)).input_ids == list(AS_TARGET)
        assert one.batch_decode(AS_TARGET, skip_special_tokens=True) == list(DECODED)
        assert one("the fox", "lazy dog").input_ids == [
            *(31, 5, 58, 23, 2, 7, 4, 65, 24, 63, 3, 15, 0)
        ]
        assert one.supported_language_codes == [">>fr<<", ">>de<<"]
        assert (one.vocab_size, len(one), one.pad_token_id, one.eos_token_id) == (134, 134, 133, 0)


def test_targets_may_have_a_vocabulary_of_their_own(files: dict[str, Any], tmp_path: Path):
    tokenizer = MarianTokenizer(**files, separate_vocabs=True)
    tokenizer.save_pretrained(tmp_path / "saved")
    again = MarianTokenizer.from_pretrained(tmp_path / "saved")
    for one in (tokenizer, again):
        assert one(TEXTS[0]).input_ids == AS_SOURCE[0]
        targets = one(text_target=TEXTS[0]).input_ids
        assert targets == [95, 41, 93, 89, 89, 94, 95, 81, 94, 87, 89, 86, 95, 92, 84, 88, 85, 0]
        assert one.decode(targets) == "Hello world this</s>"
        assert one.get_src_vocab() != one.get_tgt_vocab()


def test_the_other_sides_pieces_stand_in_for_unknown_characters_only(tmp_path: Path):
    source, target = pieces("unigram.model"), [*pieces("char.model"), "\u2581Hello"]
    vocabulary = tmp_path / "vocab.json"
    tokens = ["</s>", "<unk>", *dict.fromkeys([*source, *target, "\u00c9"]), "<pad>"]
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    models = (str(TOKENIZERS / "unigram.model"), str(TOKENIZERS / "char.model"))
    tokenizer = MarianTokenizer(*models, vocab=str(vocabulary))
    assert "\u2581Hello" not in tokenizer.tokenize("Hello \u00c9")
    assert tokenizer.tokenize("Hello \u00c9")[-1] == "\u00c9"


def test_added_tokens_are_known_to_both_sides(files: dict[str, Any]):
    tokenizer = MarianTokenizer(**files)
    tokenizer.add_tokens(["[name]"])
    assert tokenizer("Hello [name]").input_ids[-2:] == [134, 0]
    assert tokenizer(text_target="Hello [name]").input_ids[-2:] == [134, 0]


def test_missing_and_broken_files_are_named(files: dict[str, Any], tmp_path: Path):
    with pytest.raises(TokenizerError, match="target_spm"):
        MarianTokenizer(files["source_spm"], vocab=files["vocab"])
    with pytest.raises(TokenizerError, match="unk_token"):
        MarianTokenizer(**files, unk_token="[unknown]")
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"<unk>": 0, "a": 2}))
    with pytest.raises(TokenizerError, match="skips"):
        MarianTokenizer(**files | {"vocab": str(broken)})
