"""Chat templates and tool schemas against what the reference library recorded."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from dovetail.tokenizers import PreTrainedTokenizerFast, get_json_schema
from dovetail.tokenizers.convert import wordpiece

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "golden" / "tokenizers"
GOLDEN = json.loads((FOLDER / "chat.json").read_text(encoding="utf-8"))
SCHEMAS = json.loads((FOLDER / "schemas.json").read_text(encoding="utf-8"))


def load_cases() -> Any:
    """The conversations and templates, which the golden script reads too."""
    path = ROOT / "scripts" / "golden" / "chat_cases.py"
    spec = importlib.util.spec_from_file_location("chat_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    vocab = wordpiece.read_vocab(FOLDER / "vocab.txt")
    return PreTrainedTokenizerFast(
        tokenizer_object=wordpiece.build(vocab),
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )


@pytest.mark.parametrize("name", cases.CASES)
def test_templates(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    template, options = cases.CASES[name]
    text = tokenizer.apply_chat_template(
        chat_template=template, tokenize=False, **cases.with_functions(options)
    )
    assert text == GOLDEN[name]


def test_what_the_assistant_said(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = tokenizer.apply_chat_template(
        cases.CONVERSATION,
        chat_template=cases.GENERATION,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert [encoded["input_ids"], encoded["assistant_masks"]] == GOLDEN["assistant"]


@pytest.mark.parametrize("function", cases.FUNCTIONS, ids=lambda function: function.__name__)
def test_schemas(function: Any) -> None:
    assert get_json_schema(function) == SCHEMAS[function.__name__]
