"""What the commands print: results as table, JSON, JSON lines or CSV, and files that appear whole
or not at all.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

FORMATS = ("table", "json", "jsonl", "csv")
SHOWN_NUMBERS = 4
"""How many numbers of an array a table shows."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a task answered (`output`) to one `input`."""

    input: Any
    output: Any

    def record(self) -> Row:
        """The JSON form."""
        return {"input": plain(self.input), "output": plain(self.output)}

    def rows(self) -> list[Row]:
        """The form of tables: a list of answers gives one row each, an array its shape and first
        numbers.
        """
        return [{"input": brief(self.input), **row} for row in _rows(plain(self.output))]


def plain(value: Any) -> Any:
    """`value` in terms of JSON: arrays and tensors become lists, what has no JSON form its text."""
    if isinstance(value, str | bool | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def brief(value: Any) -> str:
    """`value` in one line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {brief(item)}" for key, item in value.items())
    if isinstance(value, list):
        return _array(value) if _is_array(value) else "; ".join(brief(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return " ".join(str(value).split())


def render(results: Iterable[Result], style: str) -> Iterator[str]:
    """The text of `results` in one of `FORMATS`, piece by piece; JSON and JSON lines come as the
    results do.
    """
    if style == "jsonl":
        return (json.dumps(result.record(), ensure_ascii=False) + "\n" for result in results)
    if style == "json":
        return _json(results)
    rows = (row for result in results for row in result.rows())
    return iter((comma_separated(rows) if style == "csv" else table(rows),))


def table(rows: Iterable[Row], columns: Iterable[str] = ()) -> str:
    """Aligned columns under a heading; on a terminal the widest column gives way so that rows stay
    on one line.
    """
    lines = [{key: brief(value) for key, value in row.items()} for row in rows]
    names = list(columns) or _columns(lines)
    if not lines:
        return "Nothing to show.\n"
    widths = {name: max(len(name), *(len(line.get(name, "")) for line in lines)) for name in names}
    if sys.stdout.isatty():
        _fit(widths, shutil.get_terminal_size().columns)
    heading = [{name: name.upper().replace("_", " ") for name in names}]
    return "".join(
        "  ".join(_cell(line.get(name, ""), widths[name]) for name in names).rstrip() + "\n"
        for line in heading + lines
    )


def comma_separated(rows: Iterable[Row]) -> str:
    """CSV with a heading line; whatever is no plain value stands as JSON."""
    lines = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(lines), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def publish(chunks: Iterable[str], path: str | None) -> None:
    """Write to standard output as the text comes or, with `path`, to a file that appears whole or
    not at all.
    """
    if path is None:
        for chunk in chunks:
            click.echo(chunk, nl=False)
        return
    from dovetail.hub import atomic_write

    atomic_write(path, "".join(chunks))


def _json(results: Iterable[Result]) -> Iterator[str]:
    separator = "[\n"
    for result in results:
        yield separator + json.dumps(result.record(), ensure_ascii=False)
        separator = ",\n"
    yield "\n]\n" if separator.startswith(",") else "[]\n"


def _rows(output: Any) -> list[Row]:
    if isinstance(output, Mapping):
        return [dict(output)]
    if isinstance(output, list) and output and not _is_array(output):
        return [row for item in output for row in _rows(item)]
    return [{"output": output}]


def _is_array(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, int | float) and not isinstance(value, bool)


def _array(value: list[Any]) -> str:
    sizes = [len(value)]
    while isinstance(value[0], list):
        value = value[0]
        sizes.append(len(value))
    numbers = ", ".join(f"{number:.4g}" for number in value[:SHOWN_NUMBERS])
    more = ", ..." if len(value) > SHOWN_NUMBERS else ""
    return f"{'x'.join(map(str, sizes))} [{numbers}{more}]"


def _columns(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line))


def _fit(widths: dict[str, int], room: int) -> None:
    while (excess := sum(widths.values()) + 2 * (len(widths) - 1) - room) > 0:
        widest = max(widths, key=lambda name: widths[name])
        runner_up = max((width for name, width in widths.items() if name != widest), default=8)
        shrunk = max(widths[widest] - excess, min(runner_up, widths[widest] - 1), 8)
        if shrunk >= widths[widest]:
            return
        widths[widest] = shrunk


def _cell(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
