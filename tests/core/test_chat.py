"""Choosing templates, tools and documents, and what `apply_chat_template` returns."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import jinja2
import pytest

from dovetail.errors import TemplateError
from dovetail.tokenizers import BatchEncoding, PreTrainedTokenizerFast, get_json_schema
from dovetail.tokenizers.convert import wordpiece
from dovetail.tokenizers.templates import render
from dovetail.tokenizers.tool_schema import DocstringParsingException, TypeHintParsingException

VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenizers" / "vocab.txt"
CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "the fox"}]
LONG = [*CHAT, {"role": "user", "content": "the quick brown fox jumps over the lazy dog"}]
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %} {% endfor %}"
)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=wordpiece.build(wordpiece.read_vocab(VOCABULARY)),
        unk_token="[UNK]",
        pad_token="[PAD]",
        bos_token="[CLS]",
        chat_template=PLAIN,
    )


def test_text_ids_and_features(tokenizer: PreTrainedTokenizerFast) -> None:
    text = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert text == "user: hello\nassistant: the fox\n"
    ids = tokenizer.apply_chat_template(CHAT)
    assert ids == tokenizer(text, add_special_tokens=False).input_ids
    features = tokenizer.apply_chat_template(CHAT, return_dict=True)
    assert isinstance(features, BatchEncoding)
    assert features.input_ids == ids
    tensor = tokenizer.apply_chat_template(CHAT, return_tensors="pt")
    assert tensor.tolist() == [ids]
    assert tokenizer.apply_chat_template(CHAT, truncation=True, max_length=3) == ids[:3]


def test_several_conversations(tokenizer: PreTrainedTokenizerFast) -> None:
    class Conversation:
        messages = LONG

    texts = tokenizer.apply_chat_template([CHAT, LONG], tokenize=False)
    assert texts == [tokenizer.apply_chat_template(one, tokenize=False) for one in (CHAT, LONG)]
    padded = tokenizer.apply_chat_template(
        [CHAT, Conversation()],
        padding=True,
        return_tensors="np",
        return_dict=True,
        tokenizer_kwargs={"padding_side": "left"},
    )
    assert padded.input_ids.shape == padded.attention_mask.shape
    assert padded.attention_mask[0][0] == 0


def test_special_tokens_and_keywords_are_variables(tokenizer: PreTrainedTokenizerFast) -> None:
    template = "{{ bos_token }}{{ style }}{{ add_generation_prompt }}{{ tools }}{{ documents }}"
    text = tokenizer.apply_chat_template(
        CHAT, chat_template=template, tokenize=False, style="short", bos_token="<given>"
    )
    assert text == "<given>shortFalseNoneNone"
    plain = tokenizer.apply_chat_template(CHAT, chat_template="{{ bos_token }}", tokenize=False)
    assert plain == "[CLS]"


def test_choosing_among_named_templates(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = {"default": "plain", "tool_use": "with tools", "rag": "documents"}
    tool = {"type": "function"}
    for options, expected in (
        ({}, "plain"),
        ({"tools": [tool]}, "with tools"),
        ({"chat_template": "rag"}, "documents"),
        ({"chat_template": "{{ 1 + 1 }}"}, "2"),
    ):
        assert tokenizer.apply_chat_template(CHAT, tokenize=False, **options) == expected
    tokenizer.chat_template = {"rag": "documents", "tool_use": "with tools"}
    with pytest.raises(TemplateError, match=r"none is called 'default'.*rag, tool_use"):
        tokenizer.get_chat_template()
    tokenizer.chat_template = None
    with pytest.raises(TemplateError, match="no chat template"):
        tokenizer.apply_chat_template(CHAT)
    assert tokenizer.get_chat_template("{{ 1 }}") == "{{ 1 }}"


def test_what_the_assistant_said(tokenizer: PreTrainedTokenizerFast) -> None:
    options = {"chat_template": MARKED, "return_dict": True, "return_assistant_tokens_mask": True}
    encoded = tokenizer.apply_chat_template(LONG, **options)
    said = [
        token
        for token, mask in zip(encoded.tokens(), encoded["assistant_masks"], strict=True)
        if mask
    ]
    assert tokenizer.convert_tokens_to_string(said) == "the fox"
    batch = tokenizer.apply_chat_template([LONG, CHAT], padding=True, **options)
    assert batch["assistant_masks"][0] == encoded["assistant_masks"]
    assert sum(batch["assistant_masks"][1]) == len(said)
    assert len(batch["assistant_masks"][1]) == len(batch.input_ids[1])


def test_going_on_with_the_last_message(tokenizer: PreTrainedTokenizerFast) -> None:
    go_on = {"tokenize": False, "continue_final_message": True}
    assert tokenizer.apply_chat_template(CHAT, **go_on) == "user: hello\nassistant: the fox"
    parts = [{"type": "image"}, {"type": "text", "text": "the end"}]
    template = "{% for m in messages %}{{ m.content[-1].text }}!{% endfor %}"
    content = [{"role": "user", "content": parts}]
    assert tokenizer.apply_chat_template(content, chat_template=template, **go_on) == "the end"
    with pytest.raises(TemplateError, match="not found"):
        tokenizer.apply_chat_template(CHAT, chat_template="nothing", **go_on)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "dict of text": ({"tokenize": False, "return_dict": True}, "tokenize=True"),
    "mask without dict": ({"return_assistant_tokens_mask": True}, "return_dict=True"),
    "prompt and resume": (
        {"add_generation_prompt": True, "continue_final_message": True},
        "exclude each other",
    ),
    "resume and mask": (
        {
            "continue_final_message": True,
            "return_dict": True,
            "return_assistant_tokens_mask": True,
        },
        "does not go with",
    ),
    "tool": ({"tools": [3]}, "neither a JSON schema nor a function"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    options, message = CONTRADICTIONS[name]
    with pytest.raises(TemplateError, match=message):
        tokenizer.apply_chat_template(CHAT, **options)


def test_documents_are_mappings(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(TypeError, match="'title' and 'text'"):
        tokenizer.apply_chat_template(CHAT, documents=["text"])


def test_tools_are_functions_or_schemas(tokenizer: PreTrainedTokenizerFast) -> None:
    def add(a: int, b: int = 1) -> int:
        """Adds.

        Args:
            a: One.
            b: Another.
        """
        return a + b

    template = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}"
    options = {"chat_template": template, "tokenize": False}
    by_function = tokenizer.apply_chat_template(CHAT, tools=[add], **options)
    assert by_function == tokenizer.apply_chat_template(
        CHAT, tools=[get_json_schema(add)], **options
    )
    assert '"required": ["a"]' in by_function


def test_newer_hints_are_understood() -> None:
    def choose(mode: Literal["fast", "slow"], count: int | None = None, *rest: str) -> str | int:
        """Chooses.

        Args:
            mode (str): How: in words.
            count (`int`, *optional*): How often.
            rest: The rest.

        Returns:
            What was chosen.
        """
        return f"{mode}{count}{rest}"

    function = get_json_schema(choose)["function"]
    properties = function["parameters"]["properties"]
    assert properties["mode"] == {
        "type": "string",
        "enum": ["fast", "slow"],
        "description": "How: in words.",
    }
    assert properties["count"] == {
        "type": "integer",
        "nullable": True,
        "description": "How often.",
    }
    assert function["return"]["type"] == ["integer", "string"]


def test_functions_that_cannot_be_described() -> None:
    def undocumented(a: int) -> None: ...

    def incomplete(a: int, b: int) -> None:
        """Text.

        Args:
            a: Only this.
        """

    def unhinted(a) -> None:
        """Text.

        Args:
            a: This.
        """

    def choices(a: str) -> None:
        """Text.

        Args:
            a: This. (choices: [x, y])
        """

    for function, message in (
        (undocumented, "has no docstring"),
        (incomplete, "'b'"),
        (choices, "no JSON list"),
    ):
        with pytest.raises(DocstringParsingException, match=message):
            get_json_schema(function)
    for hint, message in (
        (set[int], "no counterpart"),
        (tuple[int, ...], "any length"),
        (tuple[int], "one element"),
        (Literal[b"x"], "holds what JSON has not"),
    ):
        unhinted.__annotations__ = {"a": hint}
        with pytest.raises(TypeHintParsingException, match=message):
            get_json_schema(unhinted)
    unhinted.__annotations__ = {}
    with pytest.raises(TypeHintParsingException, match="no type hint"):
        get_json_schema(unhinted)


def test_the_time_and_the_marks_of_html() -> None:
    text, _ = render("{{ strftime_now('%Y') }} {{ {'a': '<é>&'} | tojson }}", {"messages": []})
    assert text == f'{datetime.now().year} {{"a": "<é>&"}}'


def test_templates_raise_the_field_kind_of_error() -> None:
    with pytest.raises(jinja2.exceptions.TemplateError, match="no system role"):
        render("{{ raise_exception('no system role') }}", {"messages": CHAT})


def test_threads_keep_their_own_budgets() -> None:
    results: list[str] = []

    def work(number: int) -> None:
        for _ in range(20):
            messages = [{"role": "user", "content": str(number) * 50}] * 20
            results.append(render(PLAIN, {"messages": messages})[0][6])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: results.count(name) for name in results} == dict.fromkeys("0123", 20)
