"""What is peculiar to the tokenizers of BERT, GPT-2, Llama and T5."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from dovetail.errors import TokenizerError
from dovetail.tokenizers import PreTrainedTokenizerFast
from dovetail_models_text.bert.tokenization import (
    BasicTokenizer,
    BertTokenizer,
    WordpieceTokenizer,
    load_vocab,
)
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer
from dovetail_models_text.llama.tokenization import LlamaTokenizer
from dovetail_models_text.t5.tokenization import T5Tokenizer

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
VOCAB, MODEL = str(FOLDER / "vocab.txt"), str(FOLDER / "unigram.model")
BPE = str(FOLDER / "bpe.model")
TEXTS: list[str] = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))


def gpt2(**settings: object) -> GPT2Tokenizer:
    return GPT2Tokenizer(str(FOLDER / "vocab.json"), str(FOLDER / "merges.txt"), **settings)


@pytest.mark.parametrize(
    ("tokenizer", "files"),
    [
        (BertTokenizer(VOCAB), {"vocab.txt"}),
        (gpt2(), {"vocab.json", "merges.txt"}),
        (LlamaTokenizer(BPE), {"tokenizer.model"}),
        (T5Tokenizer(MODEL, extra_ids=3), {"spiece.model", "added_tokens.json"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_both_formats_are_saved_and_each_is_enough(
    tokenizer: PreTrainedTokenizerFast, files: set[str], tmp_path: Path
) -> None:
    common = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    written = {Path(path).name for path in tokenizer.save_pretrained(tmp_path)}
    assert written == common | files
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == type(tokenizer).__name__
    expected = tokenizer(TEXTS).input_ids
    kind = type(tokenizer)
    assert kind.from_pretrained(tmp_path)(TEXTS).input_ids == expected
    (tmp_path / "tokenizer.json").unlink()
    slow = kind.from_pretrained(tmp_path)
    assert slow(TEXTS).input_ids == expected
    assert slow.special_tokens_map == tokenizer.special_tokens_map
    assert pickle.loads(pickle.dumps(slow))(TEXTS).input_ids == expected


def test_a_folder_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    for kind, name in ((BertTokenizer, "vocab.txt"), (T5Tokenizer, "spiece.model")):
        with pytest.raises(OSError, match=name):
            kind.from_pretrained(tmp_path)


def test_bert_settings_reach_a_loaded_backend(tmp_path: Path) -> None:
    BertTokenizer(VOCAB).save_pretrained(tmp_path)
    cased = BertTokenizer.from_pretrained(tmp_path, do_lower_case=False, strip_accents=False)
    assert cased.tokenize("Hello") == ["Hello"]
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("Hello") != ["Hello"]
    spread = BertTokenizer.from_pretrained(tmp_path, tokenize_chinese_chars=False)
    assert spread.backend_tokenizer.normalizer.handle_chinese_chars is False


def test_bert_never_split() -> None:
    tokenizer = BertTokenizer(VOCAB, never_split=["Hello", "nosuchword"])
    assert tokenizer.tokenize("Hello world")[0] == "Hello"
    assert "nosuchword" not in tokenizer
    assert "Hello" not in tokenizer.tokenize("HelloHello")


def test_bert_halves_alone() -> None:
    basic = BasicTokenizer(never_split=["[UNK]"])
    assert basic.tokenize("Héllo, WORLD! [UNK] 日本") == [
        *("hello", ",", "world", "!", "[UNK]", "日", "本"),
    ]
    assert BasicTokenizer(do_lower_case=False).tokenize("Héllo") == ["Héllo"]
    assert BasicTokenizer(do_split_on_punc=False).tokenize("a,b c") == ["a,b", "c"]
    assert BasicTokenizer(tokenize_chinese_chars=False).tokenize("日本") == ["日本"]
    vocab = {token: index for index, token in enumerate(["[UNK]", "un", "##want", "##ed", "a"])}
    pieces = WordpieceTokenizer(vocab, "[UNK]", max_input_chars_per_word=10)
    assert pieces.tokenize("unwanted a b") == ["un", "##want", "##ed", "a", "[UNK]"]
    assert pieces.tokenize("a" * 11) == ["[UNK]"]


def test_bert_halves_make_the_whole() -> None:
    tokenizer = BertTokenizer(VOCAB)
    basic, pieces = BasicTokenizer(), WordpieceTokenizer(load_vocab(VOCAB), "[UNK]")
    for text in TEXTS:
        if "[" not in text:
            halves = [one for word in basic.tokenize(text) for one in pieces.tokenize(word)]
            assert halves == tokenizer.tokenize(text), text


def test_gpt2_spaces_and_first_token() -> None:
    assert gpt2().tokenize("the the")[0] != gpt2().tokenize("the the")[-1]
    spaced = gpt2(add_prefix_space=True)
    assert len(set(spaced.tokenize("the the"))) == 1
    assert spaced(["the", "the"], is_split_into_words=True).input_ids == spaced("the the").input_ids
    with pytest.raises(ValueError, match="make it with add_prefix_space=True"):
        gpt2()(["the", "the"], is_split_into_words=True)
    first = gpt2(add_bos_token=True)
    assert first("the").input_ids[0] == first.bos_token_id
    assert first.num_special_tokens_to_add() == 1


def test_gpt2_prefix_space_reaches_a_loaded_backend(tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path)
    spaced = GPT2Tokenizer.from_pretrained(tmp_path, add_prefix_space=True)
    assert spaced.tokenize("the")[0].startswith("Ġ")
    spaced.save_pretrained(tmp_path / "again")
    again = GPT2Tokenizer.from_pretrained(tmp_path / "again")
    assert again.add_prefix_space
    assert again.tokenize("the")[0].startswith("Ġ")


def test_llama_first_and_last_tokens_can_be_switched(tmp_path: Path) -> None:
    tokenizer = LlamaTokenizer(BPE)
    assert tokenizer("hello").input_ids[0] == tokenizer.bos_token_id
    tokenizer.add_eos_token = True
    tokenizer.add_bos_token = False
    ids = tokenizer("hello", "world").input_ids
    assert ids.count(tokenizer.eos_token_id) == 2
    assert tokenizer.bos_token_id not in ids
    tokenizer.save_pretrained(tmp_path)
    loaded = LlamaTokenizer.from_pretrained(tmp_path)
    assert (loaded.add_bos_token, loaded.add_eos_token) == (False, True)
    assert loaded("hello", "world").input_ids == ids


def test_llama_spaces() -> None:
    default, without = LlamaTokenizer(BPE), LlamaTokenizer(BPE, add_prefix_space=False)
    assert default.tokenize("hello")[0].startswith("▁")
    assert not without.tokenize("hello")[0].startswith("▁")
    new = LlamaTokenizer(BPE, legacy=False)
    for text in ("hello  world ", "Быстрая 👍🏽", "a\n\tb"):
        for tokenizer in (default, without, new):
            ids = tokenizer(text).input_ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert default.tokenize("<s>hello") != new.tokenize("<s>hello")


def test_llama_prefix_space_rebuilds_a_saved_backend(tmp_path: Path) -> None:
    LlamaTokenizer(BPE).save_pretrained(tmp_path)
    without = LlamaTokenizer.from_pretrained(tmp_path, add_prefix_space=False)
    assert not without.tokenize("hello")[0].startswith("▁")


def test_llama_needs_its_special_tokens() -> None:
    with pytest.raises(TokenizerError, match="bos_token is None"):
        LlamaTokenizer(BPE, bos_token=None)
    tokenizer = LlamaTokenizer(BPE, bos_token=None, eos_token=None, add_bos_token=False)
    with pytest.raises(TokenizerError, match="eos_token is None"):
        tokenizer.add_eos_token = True


def test_t5_sentinels() -> None:
    tokenizer = T5Tokenizer(MODEL, extra_ids=3)
    assert tokenizer.get_sentinel_tokens() == [f"<extra_id_{index}>" for index in range(3)]
    ids = tokenizer.get_sentinel_token_ids()
    assert ids == sorted(ids, reverse=True)
    assert tokenizer.tokenize("a <extra_id_1> b")[1] == "<extra_id_1>"
    listed = T5Tokenizer(MODEL, extra_ids=1, additional_special_tokens=["<extra_id_0>", "<x>"])
    assert listed.additional_special_tokens == ["<extra_id_0>", "<x>"]
    beside = T5Tokenizer(MODEL, extra_ids=1, additional_special_tokens=["<x>"])
    assert beside.additional_special_tokens == ["<x>", "<extra_id_0>"]
    assert T5Tokenizer(MODEL, extra_ids=0).additional_special_tokens == []
    with pytest.raises(TokenizerError, match="extra_ids=5"):
        T5Tokenizer(MODEL, extra_ids=5, additional_special_tokens=["<extra_id_0>"])


def test_t5_ends_every_sequence() -> None:
    tokenizer = T5Tokenizer(MODEL, extra_ids=1)
    ids = tokenizer("hello", "world").input_ids
    assert ids.count(tokenizer.eos_token_id) == 2
    assert ids[-1] == tokenizer.eos_token_id
    assert "token_type_ids" not in tokenizer("hello")
    assert tokenizer("hello", "world", return_token_type_ids=True).token_type_ids == [0] * len(ids)
