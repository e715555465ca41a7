"""The other files of a checkpoint, such as a tokenizer's: copied, or written otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.converting.storage import Source
from dovetail.errors import CheckpointError

MAX_TEXT = 2**28


@dataclass(frozen=True)
class TextFile:
    """A file `hub`, which in originals is called `original` and has another form.

    `to_hub` and `to_original` make the content of one of that of the other; they raise `ValueError`
    for what they cannot read.
    """

    hub: str
    original: str
    to_hub: Callable[[str], str]
    to_original: Callable[[str], str]


Files = Mapping[str, str | TextFile]
"""Names in the original (``"*.vocab.yml"``), and what they are on the Hub."""


def bring_to_hub(files: Files, source: Source, target: Path) -> None:
    """Copy or translate what `source` has of `files`; of several forms of one file the first."""
    beside = Source(source.folder)
    for pattern, file in files.items():
        for path in beside.paths(pattern)[:1]:
            if isinstance(file, TextFile):
                _translate(path, target / file.hub, file.to_hub)
            else:
                _copy(path, target / file)


def bring_to_original(files: Files, source: Path, target: Path) -> None:
    """Copy or translate what the Hub folder `source` has of `files`."""
    beside = Source(source)
    for name, file in files.items():
        if isinstance(file, TextFile):
            for path in beside.paths(file.hub):
                _translate(path, target / file.original, file.to_original)
        else:
            for path in beside.paths(file):
                _copy(path, target / name)


def _copy(path: Path, target: Path) -> None:
    if not target.exists():
        shutil.copyfile(path, target)


def _translate(path: Path, target: Path, change: Callable[[str], str]) -> None:
    if target.exists():
        return
    if path.stat().st_size > MAX_TEXT:
        raise CheckpointError(f"{path} is larger than {MAX_TEXT} bytes: no file of its kind is.")
    try:
        text = change(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Download it again.") from error
    target.write_text(text, encoding="utf-8")
