"""Inputs from files and pipes, results to them."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import pytest

from dovetail import (
    CsvPipelineDataFormat,
    JsonPipelineDataFormat,
    PipedPipelineDataFormat,
    PipelineDataFormat,
)
from dovetail.errors import PipelineError

ROWS = [{"q": "who?", "c": "me, of course"}, {"q": "wo?", "c": "Köln"}]


@pytest.fixture
def csv_file(tmp_path: Path) -> str:
    path = tmp_path / "in.csv"
    path.write_text('q,c\nwho?,"me, of course"\nwo?,Köln\n', encoding="utf-8")
    return str(path)


@pytest.fixture
def json_file(tmp_path: Path) -> str:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["csv", "json"])
def test_columns_are_read(name, request):
    path = request.getfixturevalue(f"{name}_file")
    one = PipelineDataFormat.from_str(name, None, path, "c")
    assert list(one) == ["me, of course", "Köln"]
    several = PipelineDataFormat.from_str(name, None, path, "question=q,c")
    assert several.is_multi_columns
    assert list(several) == [{"question": row["q"], "c": row["c"]} for row in ROWS]


@pytest.mark.parametrize("name", ["csv", "json"])
def test_a_column_that_is_not_there(name, request):
    data = PipelineDataFormat.from_str(name, None, request.getfixturevalue(f"{name}_file"), "text")
    with pytest.raises(PipelineError, match=r"no column 'text'; it has \['c', 'q'\]"):
        list(data)


def test_csv_is_written(csv_file, tmp_path):
    data = CsvPipelineDataFormat(str(tmp_path / "out.csv"), csv_file, "c")
    data.save(ROWS)
    assert (tmp_path / "out.csv").read_text() == Path(csv_file).read_text()
    data.save([])
    assert (tmp_path / "out.csv").read_text() == ""


def test_json_is_written(json_file, tmp_path):
    data = JsonPipelineDataFormat(str(tmp_path / "out.json"), json_file, "c")
    data.save(ROWS)
    assert json.loads((tmp_path / "out.json").read_text()) == ROWS


def test_binary_results_are_pickled_beside(json_file, tmp_path):
    data = JsonPipelineDataFormat(str(tmp_path / "out.json"), json_file, "c")
    path = data.save_binary([b"x"])
    assert path == str(tmp_path / "out.pickle")
    assert pickle.loads(Path(path).read_bytes()) == [b"x"]


def test_pipes(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\tfields\n"))
    data = PipelineDataFormat.from_str("pipe", None, None, "q,c")
    assert isinstance(data, PipedPipelineDataFormat)
    assert list(data) == ["one", {"q": "two", "c": "fields"}]
    monkeypatch.setattr("sys.stdin", io.StringIO("two\tfields"))
    assert list(PipedPipelineDataFormat(None, None, "text")) == [("two", "fields")]
    data.save({"score": 1})
    assert capsys.readouterr().out == "{'score': 1}\n"
    with pytest.raises(KeyError, match="output file"):
        data.save_binary(b"")


def test_files_in_the_way_or_absent(csv_file, tmp_path):
    with pytest.raises(OSError, match=r"exists: choose another, or pass overwrite=True"):
        CsvPipelineDataFormat(csv_file, csv_file, "c")
    assert CsvPipelineDataFormat(csv_file, csv_file, "c", overwrite=True).output_path == csv_file
    with pytest.raises(OSError, match="does not exist"):
        CsvPipelineDataFormat(None, str(tmp_path / "none.csv"), "c")
    with pytest.raises(KeyError, match="json, csv, pipe"):
        PipelineDataFormat.from_str("xml", None, None, None)
    with pytest.raises(PipelineError, match="pass output_path"):
        CsvPipelineDataFormat(None, csv_file, "c").save(ROWS)
