"""``dovetail run TASK INPUT...``: one pipeline over files, folders, standard input or literal
texts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from dovetail import registry
from dovetail.cli.options import key_values, model_options
from dovetail.cli.output import FORMATS, Result, publish, render
from dovetail.cli.sources import collect


@click.command()
@click.argument("task")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("-t", "--text", "texts", multiple=True, help="A literal text as input (repeatable).")
@click.option("-m", "--model", help="Folder or Hub id; without it the task's default model.")
@model_options
@click.option(
    "-b",
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Inputs at a time.",
)
@click.option(
    "--unit",
    type=click.Choice(("line", "file")),
    default="line",
    show_default=True,
    help="What of a text file makes one input.",
)
@click.option(
    "-f",
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print the results.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="Write to this file, whole or not at all.",
)
@click.option(
    "-a",
    "--arg",
    "arguments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Further argument of the pipeline's call, value in JSON or plain (repeatable).",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Progress bar on standard error. [default: only on a terminal]",
)
def run(
    task: str,
    inputs: tuple[str, ...],
    texts: tuple[str, ...],
    model: str | None,
    revision: str | None,
    device: str | None,
    dtype: str,
    trust_remote_code: bool,
    batch_size: int,
    unit: str,
    style: str,
    output: str | None,
    arguments: tuple[str, ...],
    progress: bool | None,
) -> None:
    """Run TASK (fill-mask, summarization, ...) on every INPUT: file, folder, pattern or - for
    standard input.

    A text file counts line by line, .jsonl, .json and .csv files record by record. For tasks on
    images or sound an INPUT is the file itself.

    \b
    dovetail run fill-mask --text "The sky is [MASK]." --arg top_k=3
    dovetail run token-classification letters/*.txt -f jsonl -o names.jsonl
    cat questions.jsonl | dovetail run question-answering - -f csv
    """
    options = key_values(arguments)
    of_text = _reads_text(task)
    items: list[Any] = list(texts)
    if inputs or not texts:
        items += collect(inputs, of_text=of_text, whole=unit == "file")

    from dovetail import pipeline

    runner = pipeline(
        task,
        model=model,
        revision=revision,
        device=device,
        torch_dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
    shown = sys.stderr.isatty() if progress is None else progress
    answers = runner(iter(items), batch_size=batch_size, **options)
    publish(render(_results(items, answers, shown=shown), style), output)


def _reads_text(task: str) -> bool:
    """Whether the task's inputs are texts rather than media files; an unknown task fails here,
    before anything loads.
    """
    family = "translation" if task.startswith("translation_") else task
    return registry.pipelines().get(family).inputs == "text"


def _results(items: list[Any], answers: Any, *, shown: bool) -> Iterator[Result]:
    from tqdm import tqdm

    progress = tqdm(answers, total=len(items), unit="input", disable=not shown, file=sys.stderr)
    return (Result(item, answer) for item, answer in zip(items, progress, strict=True))
