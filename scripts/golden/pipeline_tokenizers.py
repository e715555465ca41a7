"""Tiny tokenizers for the pipelines' golden cases: WordPiece, byte-level BPE and unigram."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors

SENTENCES = (
    "my name is sarah and i live in london wolfgang berlin paris new york the capital of france",
    "a city what who where this example about politics food science great movie was terrible",
    "hello world not good it he she works at acme since then",
)
PIECES = [
    "##s",
    "##ing",
    "##ed",
    "##gang",
    "##on",
    "##er",
    "##fgang",
    "##ah",
    "wolf",
    "lond",
    "work",
]
MERGES = (
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("i", "n"),
    ("Ġ", "a"),
    ("r", "e"),
    ("o", "n"),
    ("Ġ", "w"),
    ("l", "l"),
    ("he", "ll"),
    ("hell", "o"),
    ("o", "r"),
    ("Ġw", "or"),
    ("Ġwor", "l"),
    ("Ġworl", "d"),
)
UNIGRAMS = {
    "▁": -2.0,
    "▁the": -3.0,
    "▁translate": -4.0,
    "▁English": -4.0,
    "▁to": -4.0,
    "▁German": -4.0,
    "▁summarize": -4.0,
    "▁hello": -4.0,
    "▁world": -4.0,
    "▁is": -3.5,
    "▁good": -4.0,
    ":": -3.0,
    ".": -3.0,
    ",": -3.5,
    "ing": -4.0,
}
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def bert(**options: Any) -> Any:
    """Lower-case WordPiece with words, pieces and all letters; a digit is unknown."""
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *".,?!'-",
        *letters,
        *PIECES,
    ]
    words = " ".join(SENTENCES).split()
    tokens = list(dict.fromkeys([*vocabulary, *words]))
    file = Path(options.pop("folder")) / "vocab.txt"
    file.write_text("\n".join(tokens) + "\n")
    return transformers.BertTokenizerFast(str(file), **options)


def gpt2(**options: Any) -> Any:
    """Bytes and a few merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", *alphabet, *("".join(pair) for pair in MERGES)]
    backend = tokenizers.Tokenizer(
        models.BPE({token: index for index, token in enumerate(tokens)}, list(MERGES))
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    options.pop("folder")
    return transformers.GPT2TokenizerFast(
        tokenizer_object=backend, chat_template=CHAT_TEMPLATE, **options
    )


def t5(**options: Any) -> Any:
    """Pieces with scores, behind a metaspace; every text ends with ``</s>``."""
    letters = dict.fromkeys(string.ascii_letters, -6.0)
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *UNIGRAMS.items(), *letters.items()]
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    options.pop("folder")
    return transformers.T5TokenizerFast(tokenizer_object=backend, extra_ids=4, **options)


MAKERS = {"bert": bert, "gpt2": gpt2, "t5": t5}
