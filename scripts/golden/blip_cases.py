"""What the golden cases of BLIP's processors see. It imports neither library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

VOCABULARY = Path(__file__).resolve().parents[2] / "tests" / "golden" / "tokenizers"
TEXT = "A picture of two cats"
TWO = [TEXT, "the dog."]
SQUARE = {"size": {"height": 40, "width": 40}}

PROCESSORS: dict[str, dict[str, Any]] = {
    "BlipProcessor": {
        "tokenizer": "bert",
        "calls": {
            "both": {"images": ["wide"], "text": TEXT},
            "padded": {"images": ["wide", "tall"], "text": TWO, "padding": True},
            "cut": {"images": ["tall"], "text": TEXT, "padding": "max_length", "max_length": 6}
            | {"truncation": True, "do_normalize": False},
            "text": {"text": TWO, "padding": True},
            "picture": {"images": ["array"]},
        },
    },
    "Blip2Processor": {
        "tokenizer": "gpt2",
        "settings": {"num_query_tokens": 3},
        "calls": {
            "both": {"images": ["wide"], "text": TEXT},
            "padded": {"images": ["wide", "tall"], "text": TWO, "padding": True},
            "cut": {"images": ["tall"], "text": TEXT, "max_length": 6, "truncation": True},
            "text": {"text": TWO, "padding": True},
            "picture": {"images": ["array"]},
        },
    },
    "InstructBlipProcessor": {
        "tokenizer": "gpt2",
        "qformer_tokenizer": "bert",
        "settings": {"num_query_tokens": 3},
        "calls": {
            "both": {"images": ["wide"], "text": TEXT},
            "padded": {"images": ["wide", "tall"], "text": TWO, "padding": True},
            "cut": {"images": ["tall"], "text": TEXT, "max_length": 6, "truncation": True},
            "text": {"text": TWO, "padding": True},
            "picture": {"images": ["array"]},
        },
    },
    "InstructBlipVideoProcessor": {
        "tokenizer": "gpt2",
        "qformer_tokenizer": "bert",
        "image_processor": "InstructBlipVideoImageProcessor",
        "settings": {"num_query_tokens": 3},
        "calls": {
            "both": {"images": ["wide", "tall", "wide", "large"], "text": TEXT},
            "padded": {"images": [["wide"] * 4, ["tall"] * 4], "text": TWO, "padding": True},
            "cut": {"images": ["tall"] * 4, "text": TEXT, "max_length": 6, "truncation": True},
            "text": {"text": TWO, "padding": True},
            "picture": {"images": [["array", "array"]]},
        },
    },
}
"""By class: its tokenizer, further parts and settings, and calls with the names of pictures."""
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "bert": ("BertTokenizerFast", ("vocab.txt",)),
    "gpt2": ("GPT2TokenizerFast", ("vocab.json", "merges.txt")),
}
"""Classes of tokenizers and the files they are made of."""


def built(library: Any, name: str, changes: dict[str, Any] = {}, **settings: Any) -> Any:  # noqa: B006
    """The processor `name` of `library`; `changes` are of its own settings, `settings` of those of
    pictures."""
    described = PROCESSORS[name]
    pictures = getattr(library, described.get("image_processor", "BlipImageProcessor"))
    parts = [pictures(**SQUARE, **settings), tokenizer(library, described["tokenizer"])]
    if "qformer_tokenizer" in described:
        parts.append(tokenizer(library, described["qformer_tokenizer"]))
    made = {**described.get("settings", {}), **changes}
    return getattr(library, name)(*parts, **made)


def tokenizer(library: Any, kind: str) -> Any:
    """A tokenizer of `library` over the vocabulary of the tests."""
    class_name, files = FILES[kind]
    made = getattr(library, class_name)(*(str(VOCABULARY / name) for name in files))
    if made.pad_token is None:
        made.pad_token = made.eos_token
    return made


def call(processor: Any, case: dict[str, Any], pictures: dict[str, Any]) -> Any:
    """What a processor makes of the texts and, by name, the `pictures` of a call."""
    case = dict(case)
    if "images" in case:
        case["images"] = named(case["images"], pictures)
    return processor(**case, return_tensors="pt")


def named(names: Any, pictures: dict[str, Any]) -> Any:
    """The pictures called so; lists of names are videos."""
    return pictures[names]() if isinstance(names, str) else [named(n, pictures) for n in names]
