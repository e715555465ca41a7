"""The examples run on the real checkpoint, and each is short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.cli import execute

EXAMPLES = Path(__file__).parents[1] / "examples"
ANSWERS = {
    "Who stole the tarts?": "the Knave of Hearts, he stole those tarts",
    "Why were the gardeners painting the roses?": "three gardeners at it",
    "What was written on the cake?": '"EAT ME"',
}


def run(script: str, *arguments: str | Path) -> str:
    words = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_answers(text: str) -> None:
    paragraphs = [part.splitlines() for part in text.strip().split("\n\n")]
    assert [part[0] for part in paragraphs] == list(ANSWERS)
    for question, best, *others in paragraphs:
        assert ANSWERS[question] in best
        assert len(others) == 2


def test_semantic_search_answers_the_three_questions(minilm):
    check_answers(run("semantic_search.py", minilm))


def test_the_command_line_answers_them_too(minilm, tmp_path, capsys):
    for name in ("alice", "questions"):
        words = ["run", "feature-extraction", str(EXAMPLES / "data" / f"{name}.txt"), "--pool"]
        words += ["mean", "-m", str(minilm), "-f", "jsonl", "-o", str(tmp_path / name)]
        assert execute(words) == 0, capsys.readouterr().err
    check_answers(run("rank.py", tmp_path / "alice", tmp_path / "questions"))


@pytest.mark.parametrize("script", ["tiny_llama.py", "train_tokenizer.py"])
def test_examples_that_need_no_checkpoint(script, tmp_path):
    assert run(script, tmp_path)


def test_examples_are_short_and_say_how_to_run_them():
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 40, path.name
        assert f"usage: python examples/{path.name}" in text
