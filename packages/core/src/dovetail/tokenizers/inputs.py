"""What may be given to a tokenizer as text, and what is said about anything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dovetail.errors import TokenizerError, TokenizerTypeError
from dovetail.tokenizers.backend import Settings


def check_text(name: str, text: Any) -> None:
    """A text, words, a batch of either; only the first elements are looked at, for speed."""
    value, depth = text, 0
    while isinstance(value, list | tuple) and value and depth < 3:
        value, depth = value[0], depth + 1
    if not (isinstance(value, str) or (isinstance(value, list | tuple) and not value)):
        raise TokenizerError(
            f"{name} must be a str, a list of str (a batch, or words with "
            "is_split_into_words=True) or a list of lists of str (a batch of words), but holds "
            f"{type(value).__name__}."
        )


def bad_text(batch: Sequence[Any], is_split_into_words: bool) -> TokenizerError:
    """The error for a batch that the `tokenizers` library refused: which text is wrong, and why."""
    for index, row in enumerate(batch):
        for text in _texts(row):
            if not isinstance(text, str):
                return TokenizerTypeError(
                    f"Text {index} of the batch holds a {type(text).__name__}, {text!r:.80}: pass "
                    "str."
                )
            try:
                text.encode()
            except UnicodeEncodeError as failure:
                return TokenizerError(
                    f"Text {index} of the batch is no valid Unicode: {failure}. Replace lone "
                    "surrogates, for instance with text.encode('utf-16', "
                    "'surrogatepass').decode('utf-16', 'replace')."
                )
    shape = "lists of words" if is_split_into_words else "texts or pairs of texts"
    hint = "" if is_split_into_words else " Pass is_split_into_words=True for lists of words."
    return TokenizerTypeError(f"The batch does not consist of {shape} alone.{hint}")


def unencodable(failure: BaseException, settings: Settings) -> TokenizerError:
    """The error for texts that the `tokenizers` library gave up on."""
    if settings.truncation is not None:
        return TokenizerError(
            f"The batch cannot be encoded with {settings.truncation}: {failure}. Raise max_length, "
            "or truncate with 'longest_first'."
        )
    return TokenizerError(
        f"The batch cannot be encoded: {failure}. The parts of the tokenizer do not fit together: "
        "load it from an intact tokenizer.json."
    )


def _texts(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    else:
        yield value
