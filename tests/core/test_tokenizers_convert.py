"""Slow formats: their ids are those of the libraries that made them; damaged files are named."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import HubError, TokenizerError
from dovetail.tokenizers import PreTrainedTokenizerFast, convert
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import bpe, sentencepiece, tiktoken, wordpiece
from dovetail.tokenizers.convert.files import read_vocab_json

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


TEXTS: list[str] = golden("texts")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("llama3", tiktoken.LLAMA3_PATTERN),
        ("converted", tiktoken.LLAMA3_PATTERN),
        ("gpt2", tiktoken.GPT2_PATTERN),
    ],
)
def test_tiktoken_ranks(name: str, pattern: str) -> None:
    backend = tiktoken.build(tiktoken.read_ranks(FOLDER / "ranks.tiktoken"), pattern=pattern)
    assert [backend.encode(text).ids for text in TEXTS] == golden("tiktoken")[name]


# SentencePiece reads its control pieces as plain text and puts a space before a literal "▁"; here,
# as in the field's tokenizers, special tokens are found in text and that space is taken as given.
LIBRARY_DIFFERS = {"<s> special </s> <pad> <unk>", "▁ ▁▁literal"}


def test_an_empty_rank_is_kept(tmp_path: Path) -> None:
    """Whisper's files end in one."""
    path = tmp_path / "ranks.tiktoken"
    path.write_text("YQ== 0\nYg== 1\nYWI= 2\n= 3\n")
    backend = tiktoken.build(tiktoken.read_ranks(path), special_tokens=["<|end|>"])
    assert backend.encode("abb<|end|>").ids == [2, 1, 4]


@pytest.mark.parametrize("name", ["unigram", "bpe", "char"])
def test_sentencepiece_models(name: str) -> None:
    backend = sentencepiece.build(FOLDER / f"{name}.model")
    expected = dict(zip(TEXTS, golden("sentencepiece")[name], strict=True))
    found = {text: backend.encode(text).ids for text in TEXTS}
    assert {text for text in TEXTS if found[text] != expected[text]} == LIBRARY_DIFFERS


def test_sentencepiece_decoding_spells_bytes_and_spaces() -> None:
    backend = sentencepiece.build(FOLDER / "bpe.model")
    text = "Быстрая 👍🏽 hello"
    assert backend.decode(backend.encode(text).ids) == text


def test_user_defined_pieces_are_found_in_text() -> None:
    backend = sentencepiece.build(FOLDER / "unigram.model")
    assert "<user>" in backend.encode("a<user>b").tokens


def test_the_reader_agrees_with_the_file() -> None:
    model = sentencepiece.SentencePieceModel.from_file(FOLDER / "char.model")
    assert model.model_type is sentencepiece.ModelType.CHAR
    assert (model.unk_id, model.bos_id, model.eos_id, model.pad_id) == (0, 1, 2, 3)
    assert model.pieces[3].text == "<pad>"
    assert model.pieces[3].type is sentencepiece.PieceType.CONTROL


REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not REAL.is_dir(), reason="extra cases: the folder of real data is not here")
def test_real_vocabularies_cover_real_text() -> None:
    text = (REAL / "text" / "wiki_sample.txt").read_text(encoding="utf-8")[:20_000]
    backends = [
        convert.from_model_file(REAL / "sentencepiece" / "sentencepiece_with_bytefallback.model"),
        tiktoken.build(tiktoken.read_ranks(REAL / "tokenizers" / "gpt2.tiktoken")),
        tiktoken.build(tiktoken.read_ranks(REAL / "tokenizers" / "whisper_multilingual.tiktoken")),
    ]
    for backend in backends:
        assert backend.decode(backend.encode(text).ids).split() == text.split()


def damage(name: str, data: bytes, at: Path) -> str:
    path = at / name
    path.write_bytes(data)
    return str(path)


BYTE_LEVEL = {"vocab.json": b'{"a": 0, "b": 1, "ab": 2}', "merges.txt": b"#version: 0.2\na b\n"}
DAMAGED: dict[str, tuple[dict[str, bytes], str]] = {
    "model cut": ({"tokenizer.model": (FOLDER / "bpe.model").read_bytes()[:5000]}, "ends in"),
    "model empty": ({"tokenizer.model": b""}, "no pieces"),
    "model of text": ({"tokenizer.model": b"hello there\n" * 9}, "no intact SentencePiece"),
    "model of zeros": ({"tokenizer.model": bytes(100)}, "SentencePiece"),
    "model of a huge size": ({"tokenizer.model": b"\x0a\xff\xff\xff\xff\x7f"}, "ends in"),
    "model of an endless number": ({"tokenizer.model": b"\xff" * 40}, "longer than 64 bits"),
    "model with bad text": ({"tokenizer.model": b"\x0a\x04\x0a\x02\xff\xff"}, "utf-8"),
    "model with a bad kind": ({"tokenizer.model": b"\x0a\x02\x18\x63"}, "PieceType"),
    "model with a wrong field": ({"tokenizer.model": b"\x08\x01"}, "another type"),
    "model with a wrong piece": ({"tokenizer.model": b"\x0a\x02\x10\x01"}, "another type"),
    "ranks not base64": ({"tokenizer.model": b"YQ== 0\n!!!! 1\n"}, "line 2"),
    "ranks twice": ({"tokenizer.model": b"YQ== 0\nYg== 0\n"}, "one rank to several"),
    "merges without vocabulary": (BYTE_LEVEL | {"merges.txt": b"a c\n"}, "'c'"),
    "merges of one word": (BYTE_LEVEL | {"merges.txt": b"#version\nab\n"}, "line 2"),
    "merges missing": ({"vocab.json": BYTE_LEVEL["vocab.json"]}, "merges.txt"),
    "vocabulary cut": (BYTE_LEVEL | {"vocab.json": b'{"a": 0, "b"'}, "valid JSON"),
    "vocabulary a list": (BYTE_LEVEL | {"vocab.json": b'["a", "b"]'}, "object of tokens"),
    "vocabulary of texts": (BYTE_LEVEL | {"vocab.json": b'{"a": "x"}'}, "'x'"),
    "vocabulary nested": (BYTE_LEVEL | {"vocab.json": b"[" * 100_000}, "valid JSON"),
    "words empty": ({"vocab.txt": b""}, "empty"),
    "words binary": ({"vocab.txt": b"\xff\xfe\x00"}, "UTF-8"),
    "json cut": ({"tokenizer.json": b'{"version": "1.0", "model": {'}, "tokenizer.json"),
    "json empty": ({"tokenizer.json": b""}, "tokenizer.json"),
    "json of another kind": (
        {"tokenizer.json": b'{"model": {"type": "Magic"}}'},
        "tokenizer.json",
    ),
    "json nested": ({"tokenizer.json": b"[" * 100_000}, "tokenizer.json"),
    "config cut": ({"vocab.txt": b"[UNK]\na\n", "tokenizer_config.json": b"{"}, "_config.json"),
    "config a list": ({"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b"[]"}, "_config.json"),
    "config with odd limits": (
        {"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b'{"model_max_length": "x"}'},
        "model_max_length",
    ),
    "config with odd sides": (
        {"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b'{"padding_side": "up"}'},
        "padding_side",
    ),
    "config with odd tokens": (
        {"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b'{"pad_token": 5}'},
        "pad_token",
    ),
    "config with odd added tokens": (
        {"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b'{"added_tokens_decoder": {"x": 1}}'},
        "added_tokens_decoder",
    ),
    "config with odd flags": (
        {
            "vocab.txt": b"[UNK]\n",
            "tokenizer_config.json": b'{"added_tokens_decoder": {"1": {"content": 1}}}',
        },
        "is no token",
    ),
    "config with odd templates": (
        {"vocab.txt": b"[UNK]\n", "tokenizer_config.json": b'{"chat_template": [1]}'},
        "chat_template",
    ),
    "added tokens with odd ids": (
        {"vocab.txt": b"[UNK]\n", "added_tokens.json": b'{"a": "b"}'},
        "added_tokens.json",
    ),
    "special tokens cut": (
        {"vocab.txt": b"[UNK]\n", "special_tokens_map.json": b'{"a'},
        "special_tokens_map.json",
    ),
    "template binary": (
        {"vocab.txt": b"[UNK]\n", "chat_template.jinja": b"\xff\xff"},
        "chat_template.jinja",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    files, said = DAMAGED[name]
    for filename, data in files.items():
        (tmp_path / filename).write_bytes(data)
    with pytest.raises(TokenizerError) as caught:
        PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert said in str(caught.value)
    assert any(filename in str(caught.value) for filename in files)


def test_a_folder_without_tokenizer_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"none of tokenizer\.json, tokenizer\.model is there"):
        PreTrainedTokenizerFast.from_pretrained(tmp_path)


def test_a_config_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("[UNK]\nsecret\n")
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "vocab.txt").write_text("[UNK]\nplain\n")
    names = dict.fromkeys(("vocab_file", "tokenizer_file", "merges_file"), str(outside))
    (inside / "tokenizer_config.json").write_text(json.dumps(names))
    assert "secret" not in PreTrainedTokenizerFast.from_pretrained(inside).get_vocab()
    os.remove(inside / "vocab.txt")
    (inside / "tokenizer.json").symlink_to(outside)
    with pytest.raises(OSError, match="outside"):
        PreTrainedTokenizerFast.from_pretrained(inside)


WRONG = (None, 0, -1, 2**40, 1e30, "", "x", [], {}, True, [[]], {"type": "Magic"})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every part of a JSON value, few of long lists."""
    keys = list(value)[:20] if isinstance(value, dict) else []
    keys = list(range(min(len(value), 8))) if isinstance(value, list) else keys
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def spoilt(value: Any, chance: random.Random) -> Any:
    """A copy of a JSON value with one part removed or replaced."""
    value = copy.deepcopy(value)
    *way, last = chance.choice(list(places(value)))
    parent = value
    for key in way:
        parent = parent[key]
    if chance.random() < 0.3:
        del parent[last]
    else:
        parent[last] = chance.choice(WRONG)
    return value


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_spoilt_files_load_or_are_refused(name: str, tmp_path: Path) -> None:
    backend = sentencepiece.build(FOLDER / "unigram.model")
    set_template(backend, "$A:0 </s>:0", "$A:0 </s>:0 $B:0 </s>:0")
    special = {"unk_token": "<unk>", "additional_special_tokens": ["<x>"]}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template="{{ messages }}", **special
    )
    tokenizer.save_pretrained(tmp_path)
    intact = json.loads((tmp_path / name).read_text())
    chance = random.Random(name)
    refused = 0
    for _ in range(120):
        (tmp_path / name).write_text(json.dumps(spoilt(intact, chance)))
        try:
            loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
            loaded(["hello wörld", "a </s> <x> b"])
            loaded("a", "b")
            loaded.decode([0, 1, 2])
        except TokenizerError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("cut", range(0, 9000, 500))
def test_a_cut_model_never_loads_silently(cut: int, tmp_path: Path) -> None:
    data = (FOLDER / "bpe.model").read_bytes()
    path = damage("tokenizer.model", data[:cut] + b"\xff" * 20, tmp_path)
    with pytest.raises(TokenizerError, match=r"tokenizer\.model"):
        sentencepiece.build(path)


@pytest.mark.parametrize(
    "files",
    [("vocab.txt",), ("vocab.json", "merges.txt"), ("unigram.model",), ("ranks.tiktoken",)],
)
def test_any_slow_format_is_recognised(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        target = "tokenizer.model" if name.endswith(("model", "tiktoken")) else name
        (tmp_path / target).write_bytes((FOLDER / name).read_bytes())
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert tokenizer.decode(tokenizer("hello")["input_ids"]).replace(" ", "") == "hello"


def test_byte_level_merges_and_vocabulary_agree() -> None:
    vocab = read_vocab_json(FOLDER / "vocab.json")
    backend = bpe.build(vocab, bpe.read_merges(FOLDER / "merges.txt"))
    for text in TEXTS:
        assert backend.decode(backend.encode(text).ids, skip_special_tokens=False) == text


def test_wordpiece_ids_are_line_numbers() -> None:
    vocab = wordpiece.read_vocab(FOLDER / "vocab.txt")
    assert vocab["[PAD]"] == 0
    assert sorted(vocab.values()) == list(range(len(vocab)))


def test_a_backend_can_be_taken_out_of_a_tokenizer() -> None:
    backend = sentencepiece.build(FOLDER / "unigram.model")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    assert (
        convert.convert_slow_tokenizer(tokenizer).encode("hello").ids
        == tokenizer("hello").input_ids
    )
    with pytest.raises(TokenizerError, match="no conversion for a int"):
        convert.convert_slow_tokenizer(3)
