"""Saving and loading tokenizers: the same behaviour, whichever release wrote the folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import TokenizerError
from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast, TokenizersBackend
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import bpe, sentencepiece, wordpiece
from dovetail.tokenizers.convert.files import read_vocab_json

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
TEXTS: list[str] = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))
ROLES = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}


def words(**settings: Any) -> PreTrainedTokenizerFast:
    backend = wordpiece.build(wordpiece.read_vocab(FOLDER / "vocab.txt"))
    set_template(backend, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **ROLES | settings)


def byte_level(**settings: Any) -> PreTrainedTokenizerFast:
    vocab = read_vocab_json(FOLDER / "vocab.json")
    backend = bpe.build(vocab, bpe.read_merges(FOLDER / "merges.txt"))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{"pad_token": "<|endoftext|>"} | settings
    )


def pieces(**settings: Any) -> PreTrainedTokenizerFast:
    backend = sentencepiece.build(FOLDER / "unigram.model")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="</s>", **settings
    )


def same(first: PreTrainedTokenizerFast, second: PreTrainedTokenizerFast) -> None:
    assert first(TEXTS, TEXTS[::-1]) == second(TEXTS, TEXTS[::-1])
    ids = first(TEXTS).input_ids
    assert first.batch_decode(ids, True) == second.batch_decode(ids, True)
    for name in (
        "special_tokens_map",
        "additional_special_tokens",
        "model_max_length",
        "padding_side",
        "truncation_side",
        "model_input_names",
        "clean_up_tokenization_spaces",
        "split_special_tokens",
        "chat_template",
        "extra_special_tokens",
    ):
        assert getattr(first, name) == getattr(second, name), name
    assert first.get_added_vocab() == second.get_added_vocab()


@pytest.mark.parametrize("build", [words, byte_level, pieces])
def test_a_saved_tokenizer_does_the_same(build: Any, tmp_path: Path) -> None:
    tokenizer = build(
        model_max_length=77,
        padding_side="left",
        truncation_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=True,
        chat_template="{{ messages }}",
        additional_special_tokens=[AddedToken("<x>", lstrip=True)],
        extra_special_tokens={"image_token": "<image>"},
    )
    tokenizer.add_tokens([AddedToken("newtoken", single_word=True), "lazy"])
    tokenizer(TEXTS[2], truncation=True, max_length=3, padding="max_length")
    paths = tokenizer.save_pretrained(tmp_path)
    assert sorted(Path(path).name for path in paths) == [
        "added_tokens.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    same(tokenizer, loaded)
    assert loaded.image_token_id == tokenizer.image_token_id
    assert loaded.name_or_path == str(tmp_path)
    stored = json.loads((tmp_path / "tokenizer.json").read_text())
    assert stored["truncation"] is None
    assert stored["padding"] is None
    loaded.save_pretrained(tmp_path / "again")
    first = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert json.loads((tmp_path / "again" / "tokenizer_config.json").read_text()) == first
    assert "name_or_path" not in first
    assert not any(str(tmp_path) in str(value) for value in first.values())


def test_settings_of_the_caller_win(tmp_path: Path) -> None:
    words(model_max_length=77, padding_side="left").save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(
        tmp_path, model_max_length=5, pad_token="[MASK]", use_fast=True, trust_remote_code=False
    )
    assert (loaded.model_max_length, loaded.padding_side) == (5, "left")
    assert loaded.pad_token == "[MASK]"


def test_unknown_settings_are_kept(tmp_path: Path) -> None:
    words(some_setting={"a": [1]}).save_pretrained(tmp_path)
    PreTrainedTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert config["some_setting"] == {"a": [1]}
    with pytest.raises(TokenizerError, match="JSON values"):
        words(some_setting=object()).save_pretrained(tmp_path)


def test_prefixes_and_formats(tmp_path: Path) -> None:
    tokenizer = words()
    names = {Path(path).name for path in tokenizer.save_pretrained(tmp_path, filename_prefix="x")}
    assert "x-tokenizer.json" in names
    only_slow = tokenizer.save_pretrained(tmp_path / "slow", legacy_format=True)
    assert not any(path.endswith("tokenizer.json") for path in only_slow)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(TokenizerError, match="is a file"):
        tokenizer.save_pretrained(file)


def test_one_file_is_enough(tmp_path: Path) -> None:
    tokenizer = words()
    tokenizer.save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path / "tokenizer.json")
    assert loaded(TEXTS).input_ids == tokenizer(TEXTS).input_ids
    subfolder = PreTrainedTokenizerFast.from_pretrained(tmp_path.parent, subfolder=tmp_path.name)
    same(tokenizer, subfolder)


@pytest.mark.parametrize("separate", [False, True])
def test_named_templates(separate: bool, tmp_path: Path) -> None:
    templates = {"default": "{{ messages|length }}", "tool_use": "{{ tools|length }}"}
    words(chat_template=templates).save_pretrained(tmp_path, save_jinja_files=separate)
    assert (tmp_path / "chat_template.jinja").exists() is separate
    assert (tmp_path / "additional_chat_templates" / "tool_use.jinja").exists() is separate
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path).chat_template == templates


def test_a_template_file_wins_over_the_config(tmp_path: Path) -> None:
    words(chat_template="old").save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("new")
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path).chat_template == "new"


def test_folders_of_the_5x_releases(tmp_path: Path) -> None:
    tokenizer = words()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    tokenizer.save_pretrained(tmp_path)
    for name in ("special_tokens_map.json", "added_tokens.json"):
        (tmp_path / name).unlink()
    config = {
        "backend": "tokenizers",
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": ["<x>"],
        "is_local": True,
        "local_files_only": False,
        "model_max_length": 1000000000000000019884624838656,
        "tokenizer_class": "TokenizersBackend",
        **ROLES,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    loaded = TokenizersBackend.from_pretrained(tmp_path)
    assert loaded.additional_special_tokens == ["<x>"]
    assert loaded.chat_template == "{{ messages }}"
    assert loaded(TEXTS).input_ids == tokenizer(TEXTS).input_ids
    loaded.save_pretrained(tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert not {"backend", "is_local", "local_files_only"} & set(saved)
    assert saved["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_folders_of_older_releases(tmp_path: Path) -> None:
    """Before 4.34 the config listed no added tokens: two other files did."""
    (tmp_path / "vocab.txt").write_bytes((FOLDER / "vocab.txt").read_bytes())
    size = len(wordpiece.read_vocab(FOLDER / "vocab.txt"))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<y>": size + 1, "<x>": size}))
    special = {
        **ROLES,
        "mask_token": {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False},
        "additional_special_tokens": ["<x>"],
    }
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"max_len": 512}))
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert loaded.convert_tokens_to_ids(["<x>", "<y>"]) == [size, size + 1]
    assert loaded.model_max_length == 512
    assert loaded.additional_special_tokens == ["<x>"]
    assert loaded.added_tokens_decoder[loaded.mask_token_id].lstrip
    assert not loaded.added_tokens_decoder[size + 1].special


def test_truncation_stored_in_the_file_does_not_cut(tmp_path: Path) -> None:
    backend = words().backend_tokenizer
    backend.enable_truncation(3, direction="left")
    backend.enable_padding(direction="left", pad_token="[PAD]", length=9)
    backend.save(str(tmp_path / "tokenizer.json"))
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert len(loaded("hello world hello").input_ids) > 3
    assert (loaded.truncation_side, loaded.padding_side) == ("left", "left")
    assert loaded.pad_token == "[PAD]"


def test_added_tokens_whose_ids_cannot_be_kept_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vocab.txt").write_text("[UNK]\na\n")
    added = {"90": {"content": "<far>", "special": True}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    with caplog.at_level("WARNING", logger="dovetail"):
        PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert "'<far>' has the id 2, not 90" in caplog.text


def test_a_failed_save_leaves_the_old_files(tmp_path: Path) -> None:
    words().save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}

    class Broken(PreTrainedTokenizerFast):
        def save_vocabulary(
            self, save_directory: str, filename_prefix: str | None = None
        ) -> tuple[str, ...]:
            raise OSError("disk full")

    broken = Broken(tokenizer_object=byte_level().backend_tokenizer)
    with pytest.raises(OSError, match="disk full"):
        broken.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json")} == before


def test_loading_executes_and_opens_nothing_else(tmp_path: Path) -> None:
    words(chat_template="{{ messages }}").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config |= {
        "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]},
        "tokenizer_class": "os.system",
        "tokenizer_file": "/etc/passwd",
        "tokenizer_object": "x",
        "from_slow": True,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    PreTrainedTokenizerFast.from_pretrained(tmp_path)  # imports what loading needs
    events: list[tuple[str, Any]] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event.split(".")[0] in ("open", "import", "exec", "socket", "subprocess"):
            events.append((event, arguments[0] if arguments else None))

    sys.addaudithook(watch)
    PreTrainedTokenizerFast.from_pretrained(tmp_path)
    watching = False
    opened = [str(what) for event, what in events if event == "open"]
    assert all(path.startswith(os.fspath(tmp_path)) for path in opened)
    assert {event for event, _ in events} <= {"open"}


TRAINING = [["hello wide world", "a wide world of words"], ["hello again, words"]] * 20


@pytest.mark.parametrize("build", [words, byte_level, pieces])
def test_training_anew(build: Any, tmp_path: Path) -> None:
    tokenizer = build(additional_special_tokens=["<x>"], model_max_length=99)
    trained = tokenizer.train_new_from_iterator(iter(TRAINING), 300, new_special_tokens=["<new>"])
    assert type(trained) is type(tokenizer)
    assert trained.model_max_length == 99
    assert len(trained) <= 301
    assert {"<x>", "<new>"} <= set(trained.all_special_tokens)
    text = "hello wide world"
    assert trained.decode(trained.encode(text), skip_special_tokens=True).strip() == text
    assert trained.num_special_tokens_to_add(True) == tokenizer.num_special_tokens_to_add(True)
    trained.save_pretrained(tmp_path)
    same(trained, PreTrainedTokenizerFast.from_pretrained(tmp_path))


def test_training_renames_special_tokens() -> None:
    renamed = {"[CLS]": "<start>", "[SEP]": "<end>", "[UNK]": "<what>"}
    trained = words().train_new_from_iterator(TRAINING, 90, special_tokens_map=renamed)
    assert trained.cls_token == "<start>"
    assert trained.tokenize("hello", add_special_tokens=True)[0] == "<start>"
    assert trained.tokenize("hello", add_special_tokens=True)[-1] == "<end>"
    assert trained.unk_token == "<what>"
    assert "[CLS]" not in trained
