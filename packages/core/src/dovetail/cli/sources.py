"""What ``dovetail run`` is given: files, folders, patterns, standard input and literal texts, as a
list of pipeline inputs.
"""

from __future__ import annotations

import csv
import glob
import json
import mimetypes
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

STANDARD_INPUT = "-"
TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".rst", ".json", ".jsonl", ".csv"})
REMOTE = ("http://", "https://", "data:")
MEDIA = ("image", "audio", "video")


def collect(
    paths: Sequence[str], *, of_text: bool, or_media: bool = False, whole: bool = False
) -> list[Any]:
    """The inputs that `paths` name, in the order given, folders and patterns sorted.

    With `of_text` files are read: a line each (with `whole` a file each), records of ``.jsonl``,
    ``.json`` and ``.csv``. Otherwise (images, sound) an input is the path or address itself; with
    `or_media` too where the name is that of a picture, sound or video, or an address.

    Raises:
        click.UsageError: nothing given, no such file, nothing in a folder, an unreadable record.
    """
    if not paths and sys.stdin.isatty():
        raise click.UsageError("Nothing to run on: name files, use --text, or pipe text in.")
    found: list[Any] = []
    for path in paths or (STANDARD_INPUT,):
        if path == STANDARD_INPUT:
            found += _lines(sys.stdin.read(), whole=whole and of_text)
        elif (or_media or not of_text) and path.startswith(REMOTE):
            found.append(path)
        else:
            for file in _files(path, of_text=of_text, or_media=or_media):
                read = of_text and not (or_media and _is_media(file))
                found += _records(file, whole=whole) if read else [str(file)]
    if not found:
        raise click.UsageError(f"No input in {', '.join(paths) or 'standard input'}: it is empty.")
    return found


def _files(path: str, *, of_text: bool, or_media: bool) -> Iterator[Path]:
    """The files behind one word; what exists is taken as it is before it is tried as a pattern."""
    place = Path(path)
    if place.is_file():
        yield place
        return
    matches = sorted(
        place.rglob("*") if place.is_dir() else map(Path, glob.glob(path, recursive=True))
    )
    files = [file for file in matches if file.is_file() and not _hidden(file, place)]
    if place.is_dir() and of_text:
        files = [
            file
            for file in files
            if file.suffix.lower() in TEXT_SUFFIXES or (or_media and _is_media(file))
        ]
    if not files:
        hint = " A literal text goes after --text." if of_text and not place.is_dir() else ""
        kind = (
            "No file to read in the folder"
            if place.is_dir()
            else "No such file, folder or pattern:"
        )
        raise click.UsageError(f"{kind} {path!r}.{hint}")
    yield from files


def _is_media(file: Path) -> bool:
    kind, _ = mimetypes.guess_type(file.name)
    return kind is not None and kind.partition("/")[0] in MEDIA


def _hidden(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts if folder.is_dir() else ()
    return any(part.startswith(".") for part in parts)


def _records(file: Path, *, whole: bool) -> list[Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"{file} is not UTF-8 text (byte {error.start}): convert it first."
        ) from error
    readers = {".jsonl": _json_lines, ".json": _json_list, ".csv": _csv}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        return _lines(text, whole=whole)
    try:
        return reader(text)
    except (json.JSONDecodeError, csv.Error) as error:
        raise click.UsageError(
            f"{file} holds no valid {file.suffix[1:].upper()}: {error}"
        ) from error


def _lines(text: str, *, whole: bool) -> list[Any]:
    if whole:
        return [text.strip()] if text.strip() else []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _json_list(text: str) -> list[Any]:
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def _csv(text: str) -> list[Any]:
    """Rows under a heading as mappings; a file of one column as its values."""
    rows = list(csv.DictReader(text.splitlines(), strict=True))
    if rows and len(rows[0]) == 1:
        return [value for row in rows for value in row.values()]
    return list(rows)
