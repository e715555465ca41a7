"""Backends from the files of slow formats; one module for each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError
from dovetail.tokenizers.convert import bpe, sentencepiece, tiktoken, wordpiece
from dovetail.tokenizers.convert.files import read_vocab_json

__all__ = [
    "SLOW_TO_FAST_CONVERTERS",
    "bpe",
    "convert_slow_tokenizer",
    "from_files",
    "from_model_file",
    "sentencepiece",
    "tiktoken",
    "wordpiece",
]


SLOW_TO_FAST_CONVERTERS: dict[str, Callable[[Any], Tokenizer]] = {}
"""Conversions of other libraries' tokenizers by the name of their class; empty until a plugin adds
one."""


def convert_slow_tokenizer(transformer_tokenizer: Any) -> Tokenizer:
    """A backend of its own that does what a tokenizer does.

    Raises:
        TokenizerError: for an object without backend whose class is not among
            `SLOW_TO_FAST_CONVERTERS`.
    """
    name = type(transformer_tokenizer).__name__
    if name in SLOW_TO_FAST_CONVERTERS:
        return SLOW_TO_FAST_CONVERTERS[name](transformer_tokenizer)
    backend = getattr(transformer_tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TokenizerError(
            f"There is no conversion for a {name}: add one to SLOW_TO_FAST_CONVERTERS, or build a "
            "`tokenizers.Tokenizer` and pass it to PreTrainedTokenizerFast(tokenizer_object=...)."
        )
    return Tokenizer.from_str(backend.to_str())


def from_model_file(path: str | Path) -> Tokenizer:
    """A backend from a ``.model`` file, which holds a SentencePiece model or tiktoken ranks."""
    with open(path, "rb") as file:
        first = file.readline(4096)
    token, _, rank = first.strip().partition(b" ")
    if rank.isdigit() and token:
        return tiktoken.build(tiktoken.read_ranks(path))
    return sentencepiece.build(path)


def from_files(files: Mapping[str, str | None]) -> Tokenizer | None:
    """A backend from whichever slow files there are, by what they are called; None when there are
    none.

    Keys are those of `vocab_files_names` (``vocab_file``, ``merges_file``).
    """
    vocab, merges = files.get("vocab_file"), files.get("merges_file")
    if vocab is None:
        return None
    suffix = Path(vocab).suffix
    if merges is not None or suffix == ".json":
        if merges is None:
            raise TokenizerError(
                f"{vocab} needs the merges.txt that belongs to it, which is missing beside it."
            )
        return bpe.build(read_vocab_json(vocab), bpe.read_merges(merges), where=str(vocab))
    if suffix == ".txt":
        return wordpiece.build(wordpiece.read_vocab(vocab))
    return from_model_file(vocab)
