"""The calling convention of tokenizers: arguments, features, ways back to the text, faults."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.errors import TokenizerError
from dovetail.tokenizers import (
    AddedToken,
    BatchEncoding,
    CharSpan,
    PaddingStrategy,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SpecialTokensMixin,
    TensorType,
    TokenSpan,
    TruncationStrategy,
)
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import wordpiece

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
HELLO, WORLD = "hello world", "the quick brown fox"


def build(**settings: Any) -> PreTrainedTokenizerFast:
    backend = wordpiece.build(wordpiece.read_vocab(FOLDER / "vocab.txt"))
    single = "[CLS]:0 $A:0 [SEP]:0"
    set_template(backend, single, f"{single} $B:1 [SEP]:1")
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("unk", "sep", "pad", "cls", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **roles | settings)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return build()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="dovetail")
    return caplog


def test_importing_loads_no_torch() -> None:
    code = "import sys, dovetail.tokenizers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_single_and_batch_agree(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = tokenizer([HELLO, WORLD])
    singles = [tokenizer(text) for text in (HELLO, WORLD)]
    assert list(batch) == ["input_ids", "token_type_ids", "attention_mask"]
    for name in batch:
        assert batch[name] == [single[name] for single in singles]
    assert tokenizer.encode(HELLO) == singles[0].input_ids
    assert tokenizer.encode_plus(HELLO) == singles[0]
    assert tokenizer.batch_encode_plus([HELLO, WORLD]) == batch


def test_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = tokenizer(HELLO, WORLD)
    kinds = pair.token_type_ids
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1}
    assert tokenizer([HELLO], [WORLD]).input_ids == [pair.input_ids]
    assert tokenizer.batch_encode_plus([(HELLO, WORLD)]).input_ids == [pair.input_ids]
    assert tokenizer.encode(HELLO, WORLD) == pair.input_ids
    assert pair.n_sequences == 2


def test_words(tokenizer: PreTrainedTokenizerFast) -> None:
    words = tokenizer(HELLO.split(), is_split_into_words=True)
    assert words.input_ids == tokenizer(HELLO).input_ids
    batch = tokenizer([HELLO.split(), WORLD.split()], is_split_into_words=True)
    assert batch.input_ids == tokenizer([HELLO, WORLD]).input_ids
    pair = tokenizer(HELLO.split(), WORLD.split(), is_split_into_words=True)
    assert pair.input_ids == tokenizer(HELLO, WORLD).input_ids


def test_empty_batches_and_texts(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer([]).input_ids == []
    assert tokenizer("").input_ids == tokenizer([""]).input_ids[0]
    assert tokenizer("", add_special_tokens=False).input_ids == []
    assert tokenizer.decode([]) == ""
    assert tokenizer.batch_decode([]) == []


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("padding", [True, "longest", PaddingStrategy.LONGEST])
def test_padding_to_the_longest(
    tokenizer: PreTrainedTokenizerFast, side: str, padding: Any
) -> None:
    padded = tokenizer([HELLO, WORLD], padding=padding, padding_side=side)
    rows = tokenizer([HELLO, WORLD]).input_ids
    missing = [tokenizer.pad_token_id] * (len(rows[1]) - len(rows[0]))
    short = missing + rows[0] if side == "left" else rows[0] + missing
    assert padded.input_ids == [short, rows[1]]
    assert padded.attention_mask[0] == [int(index != 0) for index in short]


def test_padding_to_lengths_and_multiples(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer(HELLO, padding="max_length", max_length=20).input_ids) == 20
    assert len(tokenizer(HELLO, padding=True, pad_to_multiple_of=16).input_ids) == 16
    limited = build(model_max_length=9)
    assert len(limited(HELLO, padding="max_length").input_ids) == 9
    assert len(limited(WORLD * 4, truncation=True).input_ids) == 9


def test_truncation_strategies(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "hello hello world"
    whole = tokenizer(text, WORLD).sequence_ids(0)
    first, second = whole.count(0), whole.count(1)
    for strategy, kept in {
        "only_first": (first - 2, second),
        "only_second": (first, second - 2),
        TruncationStrategy.ONLY_SECOND: (first, second - 2),
    }.items():
        cut = tokenizer(text, WORLD, truncation=strategy, max_length=len(whole) - 2)
        ids = cut.sequence_ids(0)
        assert (ids.count(0), ids.count(1)) == kept
    even = tokenizer(text, WORLD, truncation=True, max_length=9).sequence_ids(0)
    assert abs(even.count(0) - even.count(1)) <= 1
    assert len(even) == 9


def test_truncation_side() -> None:
    left, right = build(truncation_side="left"), build()
    ids = right(WORLD, add_special_tokens=False).input_ids
    options = {"truncation": True, "max_length": 3, "add_special_tokens": False}
    assert left(WORLD, **options).input_ids == ids[-3:]
    assert right(WORLD, **options).input_ids == ids[:3]


def test_windows_cover_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    text = " ".join([WORLD] * 6)
    whole = tokenizer(text, add_special_tokens=False).input_ids
    windows = tokenizer(
        [HELLO, text],
        truncation=True,
        max_length=12,
        stride=3,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    samples = windows.overflow_to_sample_mapping
    assert samples[0] == 0
    assert samples.count(1) == len(samples) - 1 > 2
    rows = [row[1:-1] for row, sample in zip(windows.input_ids, samples, strict=True) if sample]
    joined = rows[0]
    for row in rows[1:]:
        assert row[:3] == joined[-3:]
        joined = joined + row[3:]
    assert joined == whole
    assert windows.offset_mapping[2][1][0] > 0
    assert windows.tokens(2)[0] == "[CLS]"


def test_asked_features(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = tokenizer(
        HELLO,
        return_token_type_ids=False,
        return_attention_mask=False,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
        return_length=True,
    )
    assert list(encoded) == ["input_ids", "special_tokens_mask", "offset_mapping", "length"]
    assert encoded.length == [len(encoded.input_ids)]
    assert encoded.special_tokens_mask == tokenizer.get_special_tokens_mask(
        encoded.input_ids, already_has_special_tokens=True
    )
    start, end = encoded.offset_mapping[1]
    assert HELLO.startswith(HELLO[start:end])
    names = build(model_input_names=["input_ids"])
    assert list(names(HELLO)) == ["input_ids"]


@pytest.mark.parametrize("kind", ["pt", "np", TensorType.NUMPY])
def test_tensors(tokenizer: PreTrainedTokenizerFast, kind: Any) -> None:
    single = tokenizer(HELLO, return_tensors=kind)
    batch = tokenizer([HELLO, WORLD], padding=True, return_tensors=kind)
    assert single.input_ids.shape[0] == 1
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert "int64" in str(batch.input_ids.dtype)
    assert batch.input_ids.tolist() == tokenizer([HELLO, WORLD], padding=True).input_ids
    assert tokenizer.encode(HELLO, return_tensors=kind).shape == single.input_ids.shape
    assert tokenizer.decode(single.input_ids[0]) == tokenizer.decode(tokenizer.encode(HELLO))
    assert tokenizer.batch_decode(batch.input_ids) == [
        tokenizer.decode(row) for row in batch.input_ids
    ]


def test_ragged_rows_make_no_tensor(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(TokenizerError, match=r"input_ids.*padding=True"):
        tokenizer([HELLO, WORLD], return_tensors="pt")
    rows = tokenizer([HELLO, WORLD], return_tensors="np").input_ids
    assert rows.dtype == object
    for kind in ("tf", "jax", "mlx"):
        with pytest.raises(TokenizerError, match="not supported"):
            tokenizer(HELLO, return_tensors=kind)
    with pytest.raises(TokenizerError, match="choose one of"):
        tokenizer(HELLO, return_tensors="xx")


def test_from_tokens_to_characters_and_back(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "hello tokenizers"
    encoded = tokenizer(text, WORLD)
    assert encoded.is_fast
    assert encoded.tokens()[0] == "[CLS]"
    assert encoded.word_ids()[0] is None
    assert encoded.words() == encoded.word_ids()
    span = encoded.word_to_tokens(1)
    assert isinstance(span, TokenSpan)
    chars = encoded.word_to_chars(1)
    assert isinstance(chars, CharSpan)
    assert text[chars.start : chars.end] == "tokenizers"
    assert encoded.char_to_token(6) == span.start
    assert encoded.char_to_token(5) is None
    assert encoded.char_to_word(7) == 1
    assert encoded.char_to_word(0, sequence_index=1) == 0
    assert encoded.token_to_chars(0) is None
    assert encoded.token_to_chars(span.start).start == 6
    assert encoded.token_to_word(span.start) == 1
    assert encoded.token_to_sequence(span.start) == 0
    assert encoded.token_to_sequence(-2) == 1
    assert encoded.token_to_word(0, -2) == 3
    batch = tokenizer([HELLO, text])
    assert batch.word_to_tokens(1, 1) == tokenizer(text).word_to_tokens(1)
    assert batch.char_to_token(1, 6) == tokenizer(text).char_to_token(6)
    assert batch[1].tokens == batch.tokens(1)


def test_a_batch_encoding_is_a_mapping(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = tokenizer([HELLO, WORLD], padding=True)
    assert dict(**encoded) == encoded.data
    assert encoded[:1]["input_ids"] == encoded.input_ids[:1]
    assert set(encoded.keys()) == set(encoded)
    assert "input_ids" in encoded
    with pytest.raises(AttributeError, match="nothing"):
        _ = encoded.nothing
    again = pickle.loads(pickle.dumps(encoded))
    assert again == encoded
    assert again.word_ids(1) == encoded.word_ids(1)
    assert copy.deepcopy(encoded) == encoded
    by_hand = BatchEncoding({"input_ids": [1, 2]})
    with pytest.raises(TokenizerError, match="keeps no encodings"):
        by_hand.tokens()
    moved = tokenizer(HELLO, return_tensors="pt").to("cpu")
    assert moved.input_ids.device.type == "cpu"


def test_decoding(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = tokenizer.encode("hello, world!")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "hello, world!"
    assert tokenizer.decode(ids).startswith("[CLS]")
    assert tokenizer.decode(ids[1]) == tokenizer.convert_ids_to_tokens(ids[1]).replace("##", "")
    assert tokenizer.decode(np.array(ids)) == tokenizer.decode(ids)
    assert tokenizer.decode([ids, ids]) == tokenizer.batch_decode([ids, ids])
    assert tokenizer.clean_up_tokenization("it is n't , you 're .") == "it isn't, you're."
    tokens = tokenizer.tokenize("hello, world!")
    assert tokenizer.convert_tokens_to_string(tokens) == "hello, world!"
    for bad in ([-100, 1], [1.5], ["a"], [2**40]):
        with pytest.raises(TokenizerError, match="-100"):
            tokenizer.decode(bad)


def test_vocabulary(tokenizer: PreTrainedTokenizerFast) -> None:
    vocab = tokenizer.get_vocab()
    assert vocab == tokenizer.vocab
    assert len(tokenizer) == tokenizer.vocab_size == len(vocab)
    ids = tokenizer.convert_tokens_to_ids(["the", "nosuchtoken"])
    assert ids == [vocab["the"], tokenizer.unk_token_id]
    assert tokenizer.convert_ids_to_tokens(vocab["the"]) == "the"
    assert tokenizer.convert_ids_to_tokens([0, vocab["the"]], skip_special_tokens=True) == ["the"]
    assert tokenizer.convert_tokens_to_ids(None) is None
    assert "the" in tokenizer
    assert bool(tokenizer)


def test_added_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    size = len(tokenizer)
    assert tokenizer.add_tokens(["newword", "the"]) == 2
    assert len(tokenizer) == size + 1, "only one of them is new to the vocabulary"
    assert tokenizer.add_tokens("newword") == 0
    assert tokenizer.add_tokens([]) == 0
    assert tokenizer.add_special_tokens({"bos_token": "<b>", "eos_token": "<e>"}) == 2
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<b>", size + 1)
    assert tokenizer.get_added_vocab()["newword"] == size
    assert tokenizer.added_tokens_decoder[size].content == "newword"
    ids = tokenizer("a newword<b>", add_special_tokens=False).input_ids
    assert ids[-2:] == [size, size + 1]
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "a newword"
    assert tokenizer.sanitize_special_tokens() == 0


def test_additional_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>", "<y>"]})
    options = {"replace_additional_special_tokens": False}
    tokenizer.add_special_tokens({"additional_special_tokens": ["<z>", "<x>"]}, **options)
    assert tokenizer.additional_special_tokens == ["<x>", "<y>", "<z>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<w>"]})
    assert tokenizer.additional_special_tokens == ["<w>"]
    assert tokenizer.additional_special_tokens_ids == [tokenizer.convert_tokens_to_ids("<w>")]
    tokenizer.additional_special_tokens_ids = [tokenizer.convert_tokens_to_ids("<x>")]
    assert tokenizer.special_tokens_map["additional_special_tokens"] == ["<x>"]
    assert tokenizer.decode(tokenizer.encode("a<x>b"), skip_special_tokens=True) == "a b"


def test_roles_of_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.bos_token is None
    assert tokenizer.bos_token_id is None
    tokenizer.bos_token = "[CLS]"
    assert tokenizer.bos_token_id == tokenizer.cls_token_id
    tokenizer.eos_token_id = tokenizer.sep_token_id
    assert tokenizer.eos_token == "[SEP]"
    tokenizer.eos_token = None
    assert "eos_token" not in tokenizer.special_tokens_map
    assert tokenizer.all_special_tokens.count("[CLS]") == 1
    assert tokenizer.all_special_ids == tokenizer.convert_tokens_to_ids(
        tokenizer.all_special_tokens
    )
    assert tokenizer.pad_token_type_id == 0
    for bad in (5, ["[CLS]"]):
        with pytest.raises(TokenizerError, match="AddedToken"):
            tokenizer.bos_token = bad
    with pytest.raises(TokenizerError, match="no role"):
        tokenizer.add_special_tokens({"nose_token": "<n>"})
    with pytest.raises(TokenizerError, match="must be a list"):
        tokenizer.add_special_tokens({"additional_special_tokens": "<n>"})
    with pytest.raises(TokenizerError, match="AddedToken"):
        tokenizer.add_tokens([3])


def test_extra_roles_are_attributes() -> None:
    tokenizer = build(extra_special_tokens={"image_token": "<image>"})
    assert tokenizer.image_token == "<image>"
    assert tokenizer.image_token_id == tokenizer.convert_tokens_to_ids("<image>")
    assert "<image>" in tokenizer.all_special_tokens
    with pytest.raises(AttributeError, match="video_token"):
        _ = tokenizer.video_token


def test_the_mixin_alone_remembers() -> None:
    mixin = SpecialTokensMixin(bos_token="<s>", additional_special_tokens=["<x>"])
    assert mixin.special_tokens_map == {"bos_token": "<s>", "additional_special_tokens": ["<x>"]}
    with pytest.raises(TokenizerError, match="no vocabulary"):
        _ = mixin.bos_token_id


def test_special_tokens_may_be_split() -> None:
    tokenizer = build()
    assert "[SEP]" in tokenizer.tokenize("a [SEP] b")
    assert "[SEP]" not in tokenizer.tokenize("a [SEP] b", split_special_tokens=True)
    assert "[SEP]" not in build(split_special_tokens=True).tokenize("a [SEP] b")


def test_ids_put_together(tokenizer: PreTrainedTokenizerFast) -> None:
    first = tokenizer(HELLO, add_special_tokens=False).input_ids
    second = tokenizer(WORLD, add_special_tokens=False).input_ids
    for pair in (None, second):
        expected = tokenizer(HELLO, None if pair is None else WORLD)
        assert tokenizer.build_inputs_with_special_tokens(first, pair) == expected.input_ids
        types = tokenizer.create_token_type_ids_from_sequences(first, pair)
        assert types == expected.token_type_ids
        assert tokenizer.prepare_for_model(first, pair) == expected
        assert len(expected.input_ids) - len(first + (pair or [])) == (
            tokenizer.num_special_tokens_to_add(pair=pair is not None)
        )
    cut = tokenizer.prepare_for_model(
        first, second, truncation="only_second", max_length=8, return_overflowing_tokens=True
    )
    assert cut.num_truncated_tokens == len(first + second) + 3 - 8
    assert cut.overflowing_tokens == second[-cut.num_truncated_tokens :]
    assert (
        cut.input_ids == tokenizer(HELLO, WORLD, truncation="only_second", max_length=8).input_ids
    )
    rows = tokenizer.prepare_for_model(first, return_tensors="np", prepend_batch_axis=True)
    assert rows.input_ids.shape == (1, len(first) + 2)
    with pytest.raises(TokenizerError, match="only_first"):
        tokenizer.prepare_for_model(
            first, second, truncation=True, max_length=5, return_overflowing_tokens=True
        )
    with pytest.raises(TokenizerError, match="no offsets"):
        tokenizer.prepare_for_model(first, return_offsets_mapping=True)


def test_cutting_more_than_there_is_cuts_nothing(
    tokenizer: PreTrainedTokenizerFast, said: pytest.LogCaptureFixture
) -> None:
    assert tokenizer.truncate_sequences([1, 2], [3], 2, "only_first") == ([1, 2], [3], [])
    assert "longest_first" in said.text


def test_pad(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [tokenizer(text) for text in (HELLO, WORLD)]
    assert tokenizer.pad(rows) == tokenizer([HELLO, WORLD], padding=True)
    assert tokenizer.pad(tokenizer([HELLO, WORLD])) == tokenizer([HELLO, WORLD], padding=True)
    single = tokenizer.pad(rows[0], padding="max_length", max_length=12, padding_side="left")
    assert single.input_ids == [0] * (12 - len(rows[0].input_ids)) + rows[0].input_ids
    tensors = tokenizer.pad(tokenizer(HELLO, return_tensors="pt"), pad_to_multiple_of=8)
    assert tensors.input_ids.shape[1] % 8 == 0
    arrays = tokenizer.pad({"input_ids": [np.array([1, 2]), np.array([3])]})
    assert arrays.input_ids.tolist() == [[1, 2], [3, 0]]
    labelled = tokenizer.pad([{"input_ids": [1], "label": 0}, {"input_ids": [1, 2], "label": 1}])
    assert labelled.label == [0, 1]
    assert "attention_mask" not in tokenizer.pad({"input_ids": [[1]]}, return_attention_mask=False)
    for wrong, message in (
        ({"ids": [1]}, "lacks 'input_ids'"),
        ([1, 2], "mapping"),
        ([{"input_ids": [1]}, {"input_ids": [1], "label": 0}], "Row 1"),
        ({"input_ids": [[1], [2]], "attention_mask": [[1]]}, "1 rows"),
    ):
        with pytest.raises(TokenizerError, match=message):
            tokenizer.pad(wrong)
    with pytest.raises(TokenizerError, match="padding_side"):
        tokenizer.pad({"input_ids": [[1]]}, padding_side="up")


def test_targets(tokenizer: PreTrainedTokenizerFast) -> None:
    both = tokenizer(HELLO, text_target=WORLD)
    assert both.labels == tokenizer(WORLD).input_ids
    assert tokenizer(text_target=WORLD) == tokenizer(WORLD)

    with pytest.warns(FutureWarning, match="text_target"):
        retired = tokenizer.prepare_seq2seq_batch([HELLO], [WORLD], max_length=9)
    assert retired.labels == tokenizer([WORLD], truncation=True, max_length=9).input_ids

    class Marked(PreTrainedTokenizerFast):
        def _switch_to_input_mode(self) -> None:
            self.mode = "input"

        def _switch_to_target_mode(self) -> None:
            self.mode = "target"

    marked = Marked(tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]")
    with marked.as_target_tokenizer():
        assert marked.mode == "target"
        marked(HELLO)
        assert marked.mode == "target"
    assert marked.mode == "input"


INPUTS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "nothing": ((), {}, ValueError, "nothing to encode"),
    "number": ((5,), {}, ValueError, "holds int"),
    "number in batch": ((["a", 5],), {}, TypeError, "Text 1 of the batch holds a int"),
    "none in batch": ((["a", None],), {}, TypeError, "Text 1"),
    "bytes": ((b"a",), {}, ValueError, "holds bytes"),
    "surrogate": ((["a", "\ud800"],), {}, ValueError, "Text 1 of the batch is no valid Unicode"),
    "words unannounced": (([["a", "b", "c"]],), {}, TypeError, "is_split_into_words=True"),
    "batch and text": ((["a"], "b"), {}, TypeError, "text_pair must be a batch"),
    "two batches": ((["a"], ["b", "c"]), {}, ValueError, "holds 1 texts and text_pair 2"),
    "padding": (("a",), {"padding": "wide"}, ValueError, "'longest', 'max_length'"),
    "truncation": (("a",), {"truncation": "hard"}, ValueError, "'only_first'"),
    "side": (("a",), {"padding": True, "padding_side": "up"}, ValueError, "'left' or 'right'"),
    "length": (("a",), {"max_length": -1}, ValueError, "max_length=-1"),
    "length text": (("a",), {"max_length": "9"}, ValueError, "max_length='9'"),
    "multiple": (("a",), {"pad_to_multiple_of": 0}, ValueError, "at least 1"),
    "multiple and length": (
        ("a",),
        {"padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 4},
        ValueError,
        "contradict",
    ),
    "stride": (
        ("a",),
        {"truncation": True, "max_length": 4, "stride": 4},
        ValueError,
        "stride must be smaller",
    ),
    "too short to cut": (
        ("a", "b " * 40),
        {"truncation": "only_first", "max_length": 5},
        ValueError,
        "Raise max_length",
    ),
    "unknown": (("a",), {"paddings": True}, TypeError, "Did you mean 'padding'"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_wrong_calls(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    arguments, options, kind, message = INPUTS[name]
    with pytest.raises(TokenizerError, match=message) as caught:
        tokenizer(*arguments, **options)
    assert isinstance(caught.value, kind)
    assert tokenizer(HELLO).input_ids, "the tokenizer still works"


def test_parts_that_do_not_fit_are_told() -> None:
    backend = wordpiece.build({"a": 0})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert tokenizer("a").input_ids == [0]
    with pytest.raises(TokenizerError, match="do not fit together"):
        tokenizer("b")


def test_padding_needs_a_token() -> None:
    tokenizer = build(pad_token=None)
    with pytest.raises(TokenizerError, match=r"no padding token.*pad_token"):
        tokenizer([HELLO, WORLD], padding=True)
    tokenizer.pad_token = tokenizer.sep_token
    assert len(tokenizer([HELLO, WORLD], padding=True).input_ids) == 2


def test_warnings_come_once(
    tokenizer: PreTrainedTokenizerFast, said: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        tokenizer(HELLO, max_length=3)
        tokenizer(HELLO, truncation=True)
        tokenizer(HELLO, padding="max_length")
        build(model_max_length=3)(HELLO, verbose=False)
    assert len(said.records) == 3
    assert "truncation=True" in said.records[0].message
    limited = build(model_max_length=3)
    limited(HELLO)
    limited(HELLO)
    assert len(said.records) == 4
    assert "more than the 3" in said.records[-1].message
    assert len(tokenizer(HELLO, max_length=3).input_ids) == 3


def test_retired_arguments_warn(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.warns(FutureWarning, match="pad_to_max_length"):
        padded = tokenizer(HELLO, max_length=9, pad_to_max_length=True)
    assert len(padded.input_ids) == 9
    with pytest.warns(FutureWarning, match="truncation_strategy"):
        cut = tokenizer(WORLD, max_length=4, truncation_strategy="only_first")
    assert len(cut.input_ids) == 4
    with pytest.warns(UserWarning, match="max_length is ignored"):
        tokenizer(WORLD, max_length=4, padding=True)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies(duplicate: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_tokens(AddedToken("<new>", lstrip=True))
    twin = duplicate(tokenizer)
    assert twin(HELLO + " <new>") == tokenizer(HELLO + " <new>")
    assert twin.special_tokens_map == tokenizer.special_tokens_map
    assert isinstance(twin, PreTrainedTokenizerBase)
    if duplicate is not copy.copy:
        twin.add_tokens("another")
        assert "another" not in tokenizer


def test_threads_do_not_share_settings(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [WORLD] * 8
    calls = [
        {"truncation": True, "max_length": 4},
        {"truncation": True, "max_length": 5, "padding": "max_length"},
        {"padding": "max_length", "max_length": 30},
        {},
        {"padding": True, "padding_side": "left", "pad_to_multiple_of": 16},
    ]
    expected = [tokenizer(texts, **options).input_ids for options in calls]
    wrong: list[Any] = []

    def work(offset: int) -> None:
        for turn in range(60):
            number = (turn + offset) % len(calls)
            if tokenizer(texts, **calls[number]).input_ids != expected[number]:
                wrong.append(number)
            if turn % 20 == offset:
                tokenizer.add_tokens(f"token{offset}x{turn}")

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_tokenizer_needs_a_backend() -> None:
    with pytest.raises(TokenizerError, match="tokenizer_object"):
        PreTrainedTokenizerFast()
    with pytest.raises(TokenizerError, match=r"nowhere\.json"):
        PreTrainedTokenizerFast(tokenizer_file="nowhere.json")
    with pytest.raises(TokenizerError, match="nowhere"):
        PreTrainedTokenizerFast(vocab_file="nowhere.model")


def test_limits(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.model_max_length == int(1e30)
    limited = build(model_max_length=10)
    assert (limited.max_len_single_sentence, limited.max_len_sentences_pair) == (8, 7)
    for wrong in (0, -1, "x", True):
        with pytest.raises(TokenizerError, match="model_max_length"):
            build(model_max_length=wrong)


def test_repr_shows_what_matters(tokenizer: PreTrainedTokenizerFast) -> None:
    text = repr(tokenizer)
    assert "vocab_size=" in text
    assert "'pad_token': '[PAD]'" in text
