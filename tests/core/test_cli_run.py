"""``dovetail run``: what goes in, what comes out."""

from __future__ import annotations

import csv
import io
import json
from importlib.util import find_spec

import click
import numpy as np
import pytest

import dovetail
from dovetail.cli import execute
from dovetail.cli.options import key_values
from dovetail.cli.output import Result, brief, plain, table
from dovetail.cli.sources import collect

PLUGIN = """
@hookimpl
def dovetail_pipelines():
    return [
        PipelineDeclaration("shout", "acme_tasks:Nothing", ()),
        PipelineDeclaration("look", "acme_tasks:Nothing", (), inputs="image"),
        PipelineDeclaration("ask", "acme_tasks:Nothing", (), inputs="multimodal"),
    ]
"""


class Shouting:
    """Stands for a pipeline: one answer per input, lazily."""

    def __init__(self) -> None:
        self.made: dict = {}
        self.called: dict = {}

    def make(self, task, **options):
        self.made = {"task": task, **options}
        return self

    def __call__(self, inputs, **options):
        self.called = options
        return (self.answer(item) for item in inputs)

    def answer(self, item):
        return [{"label": str(item).upper(), "score": np.float32(0.5)}]


@pytest.fixture
def shouting(install, monkeypatch):
    install("acme-tasks", PLUGIN)
    task = Shouting()
    monkeypatch.setattr(dovetail, "pipeline", task.make, raising=False)
    return task


@pytest.fixture
def letters(tmp_path):
    folder = tmp_path / "letters"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "b.txt").write_text("two\n\n three \n")
    (folder / "deep" / "a.md").write_text("one\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden" / "c.txt").write_text("no\n")
    return folder


def test_a_folder_is_read_recursively_in_order_line_by_line(letters):
    assert collect([str(letters)], of_text=True) == ["two", "three", "one"]
    assert collect([str(letters)], of_text=True, whole=True) == ["two\n\n three", "one"]


def test_for_media_the_files_themselves_are_the_inputs(letters):
    names = collect([str(letters / "*.png"), "https://example.org/x.png"], of_text=False)
    assert names == [str(letters / "picture.png"), "https://example.org/x.png"]


def test_where_texts_and_media_are_inputs_names_tell_them_apart(letters):
    (letters / "questions.jsonl").write_text('{"image": "x.png"}')
    found = collect([str(letters), "https://example.org/x"], of_text=True, or_media=True)
    picture = str(letters / "picture.png")
    remote = "https://example.org/x"
    assert found == ["two", "three", "one", picture, {"image": "x.png"}, remote]


def test_records_of_json_lines_json_and_csv(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "q", "context": "c"}\n"text"\n')
    (tmp_path / "b.json").write_text('["x", "y"]')
    (tmp_path / "c.csv").write_text("text\nplain\n")
    (tmp_path / "d.csv").write_text('text,pair\n"a, b",c\n')
    files = [str(tmp_path / name) for name in ("a.jsonl", "b.json", "c.csv", "d.csv")]
    assert collect(files, of_text=True) == [
        {"question": "q", "context": "c"},
        "text",
        "x",
        "y",
        "plain",
        {"text": "a, b", "pair": "c"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.txt", None, "A literal text goes after --text."),
        ("bad.jsonl", b"{", "holds no valid JSONL"),
        ("latin.txt", b"caf\xe9", "not UTF-8 text (byte 3)"),
        ("empty.txt", b"\n", "it is empty"),
        ("folder", "folder", "No file to read in the folder"),
    ],
)
def test_inputs_that_cannot_be_are_explained(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(click.UsageError) as caught:
        collect([str(path)], of_text=True)
    assert message in caught.value.message
    assert name in caught.value.message


def test_a_name_with_pattern_characters_that_exists_is_that_file(tmp_path):
    (tmp_path / "a[1].txt").write_text("here")
    assert collect([str(tmp_path / "a[1].txt")], of_text=True) == ["here"]


def test_arguments_reach_the_pipeline_and_its_call(shouting, capsys):
    words = ["run", "shout", "-t", "hey", "-m", "org/model", "--device", "cpu", "-b", "4"]
    assert execute([*words, "-a", "top_k=3", "-a", "mode=loud"]) == 0
    assert shouting.made == {
        "task": "shout",
        "model": "org/model",
        "revision": None,
        "device": "cpu",
        "torch_dtype": "auto",
        "trust_remote_code": False,
    }
    assert shouting.called == {"batch_size": 4, "top_k": 3, "mode": "loud"}
    assert capsys.readouterr().out == "INPUT  LABEL  SCORE\nhey    HEY    0.5000\n"


@pytest.fixture
def answer(shouting, capsys):
    def run(style: str) -> str:
        assert execute(["run", "shout", "-t", "a", "-t", "ü", "-f", style]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""  # no progress bar where nobody watches
        return captured.out

    return run


def test_json_lines_and_json(answer):
    records = [
        {"input": "a", "output": [{"label": "A", "score": 0.5}]},
        {"input": "ü", "output": [{"label": "Ü", "score": 0.5}]},
    ]
    assert [json.loads(line) for line in answer("jsonl").splitlines()] == records
    assert json.loads(answer("json")) == records


def test_csv(answer):
    rows = list(csv.DictReader(io.StringIO(answer("csv"))))
    assert rows[1] == {"input": "ü", "label": "Ü", "score": "0.5"}


def test_standard_input_and_an_output_file(shouting, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    target = tmp_path / "out.jsonl"
    assert execute(["run", "shout", "-", "-f", "jsonl", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert [json.loads(line)["input"] for line in target.read_text().splitlines()] == ["one", "two"]


def test_a_failure_in_the_middle_leaves_the_old_output(shouting, tmp_path, capsys):
    def fail(item):
        if item == "two":
            raise ValueError("no two")
        return {"label": item}

    shouting.answer = fail
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    words = ["run", "shout", "-t", "one", "-t", "two", "-f", "jsonl", "-o", str(target)]
    assert execute(words) == 1
    assert "ValueError: no two" in capsys.readouterr().err
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.jsonl"]


def test_the_progress_bar_goes_to_standard_error(shouting, capsys):
    assert execute(["run", "shout", "-t", "a", "--progress"]) == 0
    captured = capsys.readouterr()
    assert "1/1" in captured.err
    assert "1/1" not in captured.out


def test_pooling_gives_one_vector_per_text(shouting, capsys):
    shouting.answer = lambda item: [[[1.0, 2.0], [3.0, 6.0]]]
    assert execute(["run", "shout", "-t", "a", "--pool", "mean", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["output"] == [2.0, 4.0]
    assert execute(["run", "shout", "-t", "a", "--pool", "first", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["output"] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["shuot"], 1, "Did you mean 'shout'?"),
        (["shout", "-a", "top_k"], 2, "'top_k' is not of the form key=value"),
        (["shout", "-t", "a", "-b", "0"], 2, "0 is not in the range x>=1"),
        (["shout", "-t", "a", "--pool", "mean", "-b", "2"], 2, "--pool goes with --batch-size 1"),
        (["shout", "-t", "a", "--pool", "mean"], 2, "features of every token"),
        (["shout", "no-such-file"], 2, "No such file, folder or pattern: 'no-such-file'"),
    ],
)
def test_wrong_calls_are_explained_before_anything_loads(shouting, words, status, message, capsys):
    assert execute(["run", *words]) == status
    assert message in capsys.readouterr().err


def test_nothing_to_run_on(shouting, capsys, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    assert execute(["run", "shout"]) == 2
    assert "name files, use --text, or pipe text in" in capsys.readouterr().err


def test_values_of_key_value_words():
    assert key_values(["a=1", "b=[1, 2]", "c=x=y", "max-length=null", 'd="1"']) == {
        "a": 1,
        "b": [1, 2],
        "c": "x=y",
        "max_length": None,
        "d": "1",
    }


def test_plain_values():
    value = {"a": (np.arange(2), np.float32(0.5)), 3: {"b": None}, "c": {1}}
    assert plain(value) == {"a": [[0, 1], 0.5], "3": {"b": None}, "c": "{1}"}


def test_rows_of_nested_and_bare_answers():
    nested = Result("x", [[{"label": "a"}, {"label": "b"}]])
    assert nested.rows() == [{"input": "x", "label": "a"}, {"input": "x", "label": "b"}]
    array = Result({"q": "x", "c": "y"}, np.zeros((1, 5, 6)))
    assert table(array.rows()) == ("INPUT       OUTPUT\nq: x; c: y  1x5x6 [0, 0, 0, 0, ...]\n")
    assert table([]) == "Nothing to show.\n"
    assert brief("a\n b") == "a b"


def test_a_table_fits_its_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    text = table([{"input": "word " * 40, "label": "short", "score": 0.25}])
    assert max(map(len, text.splitlines())) <= 40
    assert "…" in text
    assert "short" in text


draws = pytest.mark.skipif(
    find_spec("PIL") is None, reason="pillow comes with the vision package, not with the core"
)


class Drawing(Shouting):
    """Stands for a pipeline that draws: a picture as wide as the input's name is long."""

    def draw(self, inputs, result):
        from PIL import Image

        return Image.new("RGB", (len(inputs), len(result)))


@pytest.fixture
def drawing(install, monkeypatch):
    install("acme-tasks", PLUGIN)
    monkeypatch.setattr(dovetail, "pipeline", Drawing().make, raising=False)


@draws
def test_a_result_is_drawn_into_a_file(drawing, letters, tmp_path, capsys):
    from PIL import Image

    picture, target = str(letters / "picture.png"), tmp_path / "out.jpg"
    assert execute(["run", "ask", picture, "--save", str(target), "-f", "jsonl"]) == 0
    with Image.open(target) as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (len(picture), 1))
    assert json.loads(capsys.readouterr().out)["input"] == picture


@draws
def test_several_results_are_drawn_into_a_folder(drawing, letters, tmp_path, capsys):
    (letters / "deep" / "picture.jpg").write_bytes(b"")
    target = tmp_path / "drawn"
    words = ["run", "look", str(letters / "picture.png"), str(letters / "deep" / "picture.jpg")]
    assert execute([*words, "https://example.org/x.png", "--save", str(target)]) == 0
    assert sorted(path.name for path in target.iterdir()) == [
        "3.png",
        "picture-2.png",
        "picture.png",
    ]


@draws
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("out", "no picture is called so"),
        ("out.txt", "no picture is called so"),
        ("absent/out.png", "there is no folder"),
    ],
)
def test_pictures_that_cannot_be_saved_are_refused_first(
    drawing, letters, tmp_path, capsys, target, message
):
    words = ["run", "look", str(letters / "picture.png"), "--save", str(tmp_path / target)]
    assert execute(words) == 2
    assert message in capsys.readouterr().err


def test_a_task_that_draws_nothing_says_so(shouting, capsys):
    assert execute(["run", "shout", "-t", "hey", "--save", "x.png"]) == 2
    assert "--save goes with tasks that draw; shout does not." in capsys.readouterr().err
