"""Reading the text files of slow formats; what is wrong with one is said once, here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dovetail.errors import TokenizerError

MAX_BYTES = 512 * 2**20


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file, line ends as they are."""
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise TokenizerError(
                f"{path} has {size} bytes, more than any vocabulary. Replace the file by an intact "
                "one."
            )
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as failure:
        raise TokenizerError(f"{path} cannot be read: {failure.strerror or failure}.") from failure
    except UnicodeDecodeError as failure:
        raise TokenizerError(
            f"{path} is no UTF-8 text: byte {failure.start} cannot be decoded. Replace the file by "
            "an intact one."
        ) from failure


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file; an empty file is refused."""
    text = read_text(path).replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n") if text else []
    if not lines:
        raise TokenizerError(
            f"{path} is empty: it should hold a vocabulary. Replace the file by an intact one."
        )
    return lines


def read_vocab_json(path: str | Path) -> dict[str, int]:
    """Token to id of a ``vocab.json``."""
    try:
        vocab: Any = json.loads(read_text(path))
    except (ValueError, RecursionError) as failure:
        raise TokenizerError(
            f"{path} is no valid JSON: {failure}. Replace the file by an intact one."
        ) from failure
    if not isinstance(vocab, dict) or not vocab:
        raise TokenizerError(
            f"{path} must hold an object of tokens and ids. Replace the file by an intact one."
        )
    for token, index in vocab.items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**32:
            raise TokenizerError(
                f"{path}: the token {token!r} has the id {index!r}, which is no whole number of 0 "
                "or more."
            )
    return vocab
