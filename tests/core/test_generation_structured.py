"""Texts of a given form: every way to generate keeps to it, and what cannot be is refused."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
import torch
from tests.core.byte_level import byte_level
from tests.core.decoder import decoder

from dovetail.errors import GenerationError, MissingPackageError
from dovetail.generation import GenerationConfig
from dovetail.generation.spelling import Spelling
from dovetail.generation.structured import make_matcher
from dovetail.tokenizers import PreTrainedTokenizerFast

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "true": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 0, "maximum": 500},
    },
    "required": ["name", "true", "count"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
PAD, END = 0, 2
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "num_return_sequences": 3},
    "warped sampling": {"do_sample": True, "top_p": 0.9, "min_p": 0.01, "temperature": 1.5},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "beam sampling": {"num_beams": 4, "do_sample": True, "num_return_sequences": 2},
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
    "static cache": {"cache_implementation": "static"},
    "no cache": {"use_cache": False},
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_level()


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> Any:
    size = len(tokenizer) + 7  # embeddings are often padded
    settings = {"bos_token_id": 1, "eos_token_id": END, "max_position_embeddings": 512}
    return decoder(vocab_size=size, **settings)


def prompts(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    batch = tokenizer(["hello the", "x"], return_tensors="pt", padding=True, padding_side="left")
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def texts(
    tokenizer: PreTrainedTokenizerFast, rows: torch.Tensor, prompt_length: int
) -> list[tuple[str, bool]]:
    """The new text of each row, and whether it ended with the end token, after which is padding."""
    found = []
    for row in rows[:, prompt_length:].tolist():
        ended = END in row
        new = row[: row.index(END)] if ended else row
        assert not ended or set(row[len(new) + 1 :]) <= {PAD}
        found.append((tokenizer.decode(new), ended))
    return found


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_every_text_is_valid_and_ends(
    model: Any, tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    inputs = prompts(tokenizer)
    options = {"max_new_tokens": 120, "json_schema": SCHEMA, "tokenizer": tokenizer}
    rows = model.generate(**inputs, **options, **settings)
    assert len(rows) == 2 * settings.get("num_return_sequences", 1)
    for text, ended in texts(tokenizer, rows, inputs["input_ids"].shape[1]):
        value = json.loads(text)
        assert ended
        assert list(value) == ["name", "true", "count"]
        assert len(value["name"]) <= 6
        assert isinstance(value["true"], bool)
        assert 0 <= value["count"] <= 500


def test_rows_do_not_see_each_other(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    inputs = prompts(tokenizer)
    options = {"max_new_tokens": 60, "json_schema": json.dumps(SCHEMA), "tokenizer": tokenizer}
    together = texts(tokenizer, model.generate(**inputs, **options), 5)
    alone = [
        texts(
            tokenizer,
            model.generate(tokenizer(text, return_tensors="pt")["input_ids"], **options),
            n,
        )
        for text, n in (("hello the", 5), ("x", 1))
    ]
    assert together == [text for row in alone for text in row]


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"regex": "(true|name){2,3}!"}, "(true|name){2,3}!"),
        ({"regex": "[é-ü]{3}"}, "[é-ü]{3}"),
        ({"grammar": 'start: "a" | "b" start "c"'}, "b*ac*"),
        ({"grammar": 'root ::= "x" | "y" "x"'}, "y?x"),
        ({"json_schema": {"enum": ["red", 7]}}, '"red"|7'),
    ],
)
def test_forms(
    model: Any, tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], pattern: str
) -> None:
    torch.manual_seed(0)
    rows = model.generate(
        **prompts(tokenizer), tokenizer=tokenizer, max_new_tokens=64, do_sample=True, **settings
    )
    for text, ended in texts(tokenizer, rows, 5):
        assert ended
        assert re.fullmatch(pattern, text), text


def test_guesses_keep_to_the_form(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = tokenizer('{"name":"hello","true":tr', return_tensors="pt")["input_ids"]
    options = {"max_new_tokens": 60, "json_schema": SCHEMA, "tokenizer": tokenizer}
    plain = model.generate(prompt, **options)
    assert model.generate(prompt, prompt_lookup_num_tokens=5, **options).equal(plain)
    draft = decoder(vocab_size=len(tokenizer) + 7, num_hidden_layers=1, pad_token_id=0)
    assert model.generate(prompt, assistant_model=draft, **options).equal(plain)


def test_what_the_limit_cuts_is_a_valid_beginning(
    model: Any, tokenizer: PreTrainedTokenizerFast
) -> None:
    options = {"json_schema": SCHEMA, "tokenizer": tokenizer}
    inputs = prompts(tokenizer)
    whole = texts(tokenizer, model.generate(**inputs, max_new_tokens=90, **options), 5)
    cut = texts(tokenizer, model.generate(**inputs, max_new_tokens=6, **options), 5)
    for (long, _), (short, ended) in zip(whole, cut, strict=True):
        assert not ended
        assert long.startswith(short.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_a_forced_end_gives_way(
    model: Any, tokenizer: PreTrainedTokenizerFast, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="dovetail")
    options = {"json_schema": SCHEMA, "tokenizer": tokenizer, "forced_eos_token_id": END}
    rows = model.generate(**prompts(tokenizer), max_new_tokens=6, **options)
    assert not any(ended for _, ended in texts(tokenizer, rows, 5))
    assert "forced_eos_token_id is left out" in caplog.text


@pytest.mark.parametrize("early", [True, False])
def test_beams_that_have_nothing_to_write(
    model: Any, tokenizer: PreTrainedTokenizerFast, early: bool
) -> None:
    options = {"num_beams": 4, "num_return_sequences": 3, "early_stopping": early}
    rows = model.generate(
        **prompts(tokenizer), regex="he|x", tokenizer=tokenizer, max_new_tokens=9, **options
    )
    found = texts(tokenizer, rows, 5)
    assert {text for text, _ in found} == {"he", "x"}
    assert all(ended for _, ended in found)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no tokenizer": ({"regex": "a", "tokenizer": None}, "regex needs the model's tokenizer"),
    "no end": ({"regex": "a", "eos_token_id": -1}, "regex needs a token that ends the text"),
    "stray tokenizer": ({"regex": "a", "tokenizer": 3}, "tokenizer is a int, whose vocabulary"),
    "schema of nothing": ({"json_schema": {"enum": []}}, "Unsatisfiable schema"),
    "contradiction": (
        {"json_schema": {"type": "integer", "minimum": 5, "maximum": 3}},
        r"minimum \(5\) is greater than maximum \(3\)",
    ),
    "type": ({"json_schema": {"type": "strin"}}, "json_schema=.*Invalid type: strin"),
    "no JSON": ({"json_schema": "{"}, "json_schema='{'"),
    "no schema": ({"json_schema": "[]"}, "schema must be an object or boolean"),
    "a list": ({"json_schema": [1]}, r"json_schema=\[1\]: it must be a JSON schema"),
    "unknown keyword": ({"json_schema": {"propertyNames": {}}}, "Unimplemented keys"),
    "expression": ({"regex": "("}, "unclosed group.*without look-around"),
    "look-ahead": ({"regex": "a(?=b)"}, "look-around"),
    "no string": ({"regex": r"[^\s\S]"}, "no text of this form"),
    "endless": ({"grammar": 'start: start "a"'}, "no text of this form"),
    "rule": ({"grammar": "start: x"}, 'unknown name: "x"'),
    "notation": ({"grammar": "foo"}, "Lark's notation with the rule 'start'"),
    "two forms": ({"regex": "a", "grammar": "b"}, "regex and grammar each ask"),
    "contrast": ({"regex": "a", "penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha=0.6 cannot be"),
    "words": (
        {"regex": "a", "force_words_ids": [[9]], "num_beams": 2},
        "regex cannot be combined with constraints",
    ),
}


@pytest.mark.parametrize(("settings", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named_before_the_model_runs(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(type(model), "forward", None)
    options = {"tokenizer": tokenizer, "max_new_tokens": 4, **settings}
    with pytest.raises(GenerationError) as caught:
        model.generate(torch.tensor([[9]]), **options)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_characters_that_no_token_has(model: Any) -> None:
    lacking = PreTrainedTokenizerFast(tokenizer_object=_letters("a"), eos_token="</s>")
    with pytest.raises(GenerationError, match="no text of this form can be written"):
        model.generate(torch.tensor([[1]]), regex="b", tokenizer=lacking, max_new_tokens=3)


def _letters(letters: str) -> Any:
    from tokenizers import Tokenizer, decoders, models

    backend = Tokenizer(models.BPE({"x": 0, "y": 1, "</s>": 2, **dict.fromkeys(letters, 3)}, []))
    backend.decoder = decoders.ByteLevel()
    return backend


def test_other_settings_that_leave_no_token(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    options = {"regex": "hi!!", "max_new_tokens": 9, "min_new_tokens": 7}
    with pytest.raises(GenerationError, match=r"row 0 cannot go on after 4 tokens.*min_new_tokens"):
        model.generate(torch.tensor([[9]]), tokenizer=tokenizer, **options)


def test_the_package_is_named(
    model: Any, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail.generation.structured.is_installed", lambda name: False)
    with pytest.raises(MissingPackageError, match=r'pip install "dovetail\[structured\]"'):
        model.generate(torch.tensor([[9]]), regex="a", tokenizer=tokenizer)


def test_settings_are_saved(tmp_path: Any) -> None:
    GenerationConfig(json_schema=SCHEMA).save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).json_schema == SCHEMA


@pytest.mark.parametrize("kind", ["metaspace", "word pieces", "plain"])
def test_spelling_follows_the_decoder(kind: str) -> None:
    from tokenizers import Tokenizer, decoders, models

    tokens = {
        "metaspace": ["<0xC3>", "\u2581he", "he", "</s>"],
        "word pieces": ["a", "he", "##he", "</s>"],
        "plain": ["a", "he", "b", "</s>"],
    }[kind]
    backend = Tokenizer(models.WordLevel({token: n for n, token in enumerate(tokens)}, "he"))
    if kind == "metaspace":
        backend.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback()]
        )
    elif kind == "word pieces":
        backend.decoder = decoders.WordPiece()
    spelling = Spelling.of(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"), 6)
    expected = {
        "metaspace": (b"\xc3", b" he", b"he"),
        "word pieces": (b" a", b" he", b"he"),
        "plain": (b" a", b" he", b" b"),
    }[kind]
    assert spelling.tokens == (*expected, b"</s>", b"", b"")
    assert spelling.special == (3,)


def test_a_vocabulary_is_read_once(tokenizer: PreTrainedTokenizerFast) -> None:
    from dovetail.generation import structured

    config = GenerationConfig(regex="a", eos_token_id=END)
    make_matcher(config, tokenizer, 300)
    known = structured._vocabularies[tokenizer]
    before = dict(known)
    make_matcher(config, tokenizer, 300)
    assert known == before
