"""The families' tokenizers against what the reference library recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail_models_text.bart.tokenization import BartTokenizer
from dovetail_models_text.bert.tokenization import BertTokenizer
from dovetail_models_text.cohere.tokenization import CohereTokenizerFast
from dovetail_models_text.gemma.tokenization import GemmaTokenizer
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer
from dovetail_models_text.gpt_neox.tokenization import GPTNeoXTokenizerFast
from dovetail_models_text.llama.tokenization import LlamaTokenizer
from dovetail_models_text.mbart.tokenization import MBart50Tokenizer, MBartTokenizer
from dovetail_models_text.pegasus.tokenization import PegasusTokenizer
from dovetail_models_text.qwen2.tokenization import Qwen2Tokenizer
from dovetail_models_text.t5.tokenization import T5Tokenizer

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
TEXTS: list[str] = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))


def path(name: str) -> str:
    return str(FOLDER / name)


SPECIAL = ("unk_token", "bos_token", "eos_token", "pad_token")
FRAME = (*SPECIAL, "sep_token", "cls_token")
TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "bert": lambda: BertTokenizer(path("vocab.txt")),
    "bert-cased": lambda: BertTokenizer(
        path("vocab.txt"), do_lower_case=False, strip_accents=False, tokenize_chinese_chars=False
    ),
    "gpt2": lambda: GPT2Tokenizer(
        path("vocab.json"), path("merges.txt"), pad_token="<|endoftext|>"
    ),
    "gpt2-bos": lambda: GPT2Tokenizer(
        path("vocab.json"),
        path("merges.txt"),
        pad_token="<|endoftext|>",
        add_bos_token=True,
        add_prefix_space=True,
    ),
    "gpt-neox": lambda: GPTNeoXTokenizerFast(
        path("vocab.json"),
        path("merges.txt"),
        pad_token="<|endoftext|>",
        add_bos_token=True,
        add_eos_token=True,
    ),
    "cohere": lambda: CohereTokenizerFast(
        tokenizer_object=GPT2Tokenizer(path("vocab.json"), path("merges.txt")).backend_tokenizer,
        **dict.fromkeys(SPECIAL, "<|endoftext|>"),
    ),
    "bart": lambda: BartTokenizer(
        path("vocab.json"), path("merges.txt"), **dict.fromkeys(FRAME, "<|endoftext|>")
    ),
    "mbart": lambda: MBartTokenizer(path("unigram.model"), src_lang="ro_RO"),
    "mbart50": lambda: MBart50Tokenizer(path("unigram.model"), src_lang="ro_RO"),
    "pegasus": lambda: PegasusTokenizer(path("pegasus.model"), offset=8),
    "gemma": lambda: GemmaTokenizer(path("gemma.model")),
    "qwen2": lambda: Qwen2Tokenizer(path("vocab.json"), path("merges.txt")),
    "llama": lambda: LlamaTokenizer(path("bpe.model"), pad_token="</s>", add_prefix_space=True),
    "llama-new": lambda: LlamaTokenizer(
        path("bpe.model"),
        pad_token="</s>",
        legacy=False,
        add_prefix_space=True,
        add_eos_token=True,
    ),
    "llama-plain": lambda: LlamaTokenizer(
        path("bpe.model"), pad_token="</s>", add_prefix_space=False, add_bos_token=False
    ),
    "llama-unigram": lambda: LlamaTokenizer(
        path("unigram.model"), pad_token="</s>", add_prefix_space=True
    ),
    "t5": lambda: T5Tokenizer(path("unigram.model"), extra_ids=4),
    "t5-new": lambda: T5Tokenizer(path("unigram.model"), extra_ids=2, legacy=False),
}


@cache
def golden(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(params=TOKENIZERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["built", "saved"])
def tokenizer(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> PreTrainedTokenizerFast:
    """A tokenizer made of its slow format, and the same saved and loaded again."""
    built = TOKENIZERS[name]()
    if request.param == "built":
        return built
    built.save_pretrained(tmp_path)
    return type(built).from_pretrained(tmp_path)


def plain(features: Any) -> Any:
    return json.loads(json.dumps(dict(features)))


def test_texts(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    for text in TEXTS:
        encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        cleaned = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)
        found = [
            ids,
            [list(span) for span in encoded["offset_mapping"]],
            encoded["special_tokens_mask"],
            encoded.word_ids(),
            tokenizer.decode(ids),
            cleaned,
        ]
        assert found == golden(name)[f"text {text!r}"]


def test_special_tokens_and_sizes(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.special_tokens_map == golden(name)["special"]
    assert [len(tokenizer), tokenizer.vocab_size] == golden(name)["lengths"]
    assert tokenizer.get_added_vocab() == golden(name)["added"]


def test_pairs_padding_truncation_and_windows(
    name: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    pairs = {"text": TEXTS[2:9], "text_pair": TEXTS[5:12]}
    found = {
        "pairs": tokenizer(**pairs, padding=True),
        "cut": tokenizer(**pairs, padding="max_length", truncation=True, max_length=16),
        "cut left": tokenizer(
            TEXTS[5:9], padding=True, truncation=True, max_length=7, padding_side="left"
        ),
        "windows": tokenizer(
            **pairs,
            truncation="only_second",
            max_length=40,
            stride=3,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        ),
    }
    if "words" in golden(name):
        words = [text.split() for text in TEXTS[2:9]]
        found["words"] = tokenizer(words, is_split_into_words=True, padding=True)
    assert {key: plain(value) for key, value in found.items()} == {
        key: golden(name)[key] for key in found
    }


def test_added_tokens(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    counts = [
        tokenizer.add_tokens(["newtoken", "lazy"]),
        tokenizer.add_tokens([AddedToken("<new>", lstrip=True, rstrip=True)]),
        tokenizer.add_special_tokens({"additional_special_tokens": ["<spec>"]}),
    ]
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    assert [counts, len(tokenizer), ids] == golden(name)["new"][:3]
    # the release of the backend that made the goldens lost the space before some added tokens
    assert [text.replace(" ", "") for text in decoded] == [
        text.replace(" ", "") for text in golden(name)["new"][3]
    ]
