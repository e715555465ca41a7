"""Reading JSON that a stranger wrote: bounded, without duplicated keys, with one clear error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigError, DovetailError

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
INFINITIES = {"Infinity": float("inf"), "-Infinity": float("-inf")}


def read_json_object(
    path: str | Path, *, max_bytes: int = MAX_BYTES, error: type[DovetailError] = ConfigError
) -> dict[str, Any]:
    """The object in the JSON file at `path`; anything else raises `error`, which names it."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror or failure}.") from failure
    return parse_json_object(data, str(path), max_bytes=max_bytes, error=error)


def parse_json_object(
    data: bytes | str,
    where: str,
    *,
    max_bytes: int = MAX_BYTES,
    error: type[DovetailError] = ConfigError,
) -> dict[str, Any]:
    """The object that `data` spells; `where` names its source in messages."""
    advice = "Replace the file by an intact one."
    if len(data) > max_bytes:
        raise error(
            f"{where} is larger than {max_bytes} bytes, which no file of its kind is. {advice}"
        )
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise error(f"{where} nests its values deeper than {MAX_DEPTH} levels. {advice}") from None
    except UnicodeDecodeError as failure:
        raise error(
            f"{where} is not UTF-8 text: byte {failure.start} cannot be decoded. {advice}"
        ) from None
    except ValueError as failure:
        raise error(f"{where} is not valid JSON: {failure}. {advice}") from None
    if not isinstance(value, dict):
        raise error(
            f"{where} holds a JSON {_kind(value)} where an object {{...}} is needed. {advice}"
        )
    if _too_deep(value):
        raise error(f"{where} nests its values deeper than {MAX_DEPTH} levels. {advice}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} appears twice in one object")
    if result.keys() == {"__float__"}:  # how the 5.x releases spell a number that JSON cannot
        return _constant(result["__float__"])
    return result


def _constant(name: str) -> Any:
    if name not in INFINITIES:
        raise ValueError(f"{name!r} is no number")
    return INFINITIES[name]


def _kind(value: object) -> str:
    names = {list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
    return names.get(type(value), "null")


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
