"""Where a pipeline's inputs come from and its results go: JSON files, CSV files, or standard input
and output."""

from __future__ import annotations

import csv
import json
import pickle
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from dovetail.errors import PipelineError

Row = Any


class PipelineDataFormat(ABC):
    """Iterates over inputs and saves results.

    `column` names the input column, or several as ``"question,context"``; ``"name=column"`` hands
    a column on under the name that the pipeline expects.

    Raises:
        OSError: the output file exists and `overwrite` is off, or the input file does not.
    """

    SUPPORTED_FORMATS: ClassVar[list[str]] = ["json", "csv", "pipe"]

    def __init__(
        self,
        output_path: str | None,
        input_path: str | None,
        column: str | None,
        overwrite: bool = False,
    ) -> None:
        self.output_path = output_path
        self.input_path = input_path
        names = [name.strip() for name in column.split(",")] if column is not None else [""]
        self.is_multi_columns = len(names) > 1
        self.column: list[Any] = (
            [_renamed(name) for name in names] if self.is_multi_columns else names
        )
        if output_path is not None and not overwrite and Path(output_path).exists():
            raise OSError(
                f"The output file {output_path} exists: choose another, or pass overwrite=True."
            )
        if input_path is not None and not Path(input_path).exists():
            raise OSError(f"The input file {input_path} does not exist.")

    @abstractmethod
    def __iter__(self) -> Iterator[Row]: ...

    @abstractmethod
    def save(self, data: Any) -> None:
        """Write all results."""

    def save_binary(self, data: Any) -> str:
        """Pickle results that are no text beside the output path, and return the path of that
        file."""
        if self.output_path is None:
            raise PipelineError("Binary results need an output file: pass output_path.")
        path = Path(self.output_path).with_suffix(".pickle")
        path.write_bytes(pickle.dumps(data))
        return str(path)

    def _select(self, row: dict[str, Any]) -> Row:
        """What the pipeline takes from one row of the input."""
        try:
            if self.is_multi_columns:
                return {name: row[column] for name, column in self.column}
            return row[self.column[0]]
        except KeyError as error:
            raise PipelineError(
                f"{self.input_path} has no column {error.args[0]!r}; it has {sorted(row)}. "
                "Name one of these as `column`."
            ) from None

    @staticmethod
    def from_str(
        format: str,
        output_path: str | None,
        input_path: str | None,
        column: str | None,
        overwrite: bool = False,
    ) -> PipelineDataFormat:
        """The format called ``json``, ``csv`` or ``pipe``."""
        kinds: dict[str, Callable[..., PipelineDataFormat]] = {
            "json": JsonPipelineDataFormat,
            "csv": CsvPipelineDataFormat,
            "pipe": PipedPipelineDataFormat,
        }
        if format not in kinds:
            raise KeyError(f"Unknown data format {format!r}: choose one of {', '.join(kinds)}.")
        return kinds[format](output_path, input_path, column, overwrite=overwrite)


class CsvPipelineDataFormat(PipelineDataFormat):
    """A CSV file with a header."""

    def __iter__(self) -> Iterator[Row]:
        with _given(self.input_path, "input_path").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield self._select(row)

    def save(self, data: list[dict[str, Any]]) -> None:
        """Write one row per result; the first one's keys are the header."""
        with _given(self.output_path, "output_path").open(
            "w", newline="", encoding="utf-8"
        ) as file:
            if data:
                writer = csv.DictWriter(file, list(data[0]))
                writer.writeheader()
                writer.writerows(data)


class JsonPipelineDataFormat(PipelineDataFormat):
    """A JSON file that holds one list of objects."""

    def __init__(
        self,
        output_path: str | None,
        input_path: str | None,
        column: str | None,
        overwrite: bool = False,
    ) -> None:
        super().__init__(output_path, input_path, column, overwrite=overwrite)
        text = _given(input_path, "input_path").read_text(encoding="utf-8")
        self._entries: list[dict[str, Any]] = json.loads(text)

    def __iter__(self) -> Iterator[Row]:
        return map(self._select, self._entries)

    def save(self, data: Any) -> None:
        """Write `data` as one JSON document."""
        text = json.dumps(data, ensure_ascii=False)
        _given(self.output_path, "output_path").write_text(text, encoding="utf-8")


class PipedPipelineDataFormat(PipelineDataFormat):
    """One input per line of standard input, several columns separated by tabs; results go to
    standard output."""

    def __iter__(self) -> Iterator[Row]:
        for line in sys.stdin:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 1:
                yield fields[0]
            elif self.is_multi_columns:
                yield {name: value for (name, _), value in zip(self.column, fields, strict=False)}
            else:
                yield tuple(fields)

    def save(self, data: Any) -> None:
        """Write `data` to standard output."""
        sys.stdout.write(f"{data}\n")

    def save_binary(self, data: Any) -> str:
        """Pickle to the output path, which binary results need even in a pipe."""
        if self.output_path is None:
            raise KeyError(
                "Binary results cannot go to standard output: name an output file (output_path)."
            )
        return super().save_binary(data)


def _renamed(name: str) -> tuple[str, str]:
    """("name", "column") of ``"name=column"``, or the same twice."""
    target, sign, column = name.partition("=")
    return (target, column) if sign else (name, name)


def _given(path: str | None, argument: str) -> Path:
    if path is None:
        raise PipelineError(f"This data format reads or writes a file: pass {argument}.")
    return Path(path)
