"""``dovetail run TASK INPUT...``: one pipeline over files, folders, standard input or texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from dovetail import registry
from dovetail.cli import pictures
from dovetail.cli.options import key_values, model_options
from dovetail.cli.output import FORMATS, Result, publish, render
from dovetail.cli.sources import collect

POOLS = ("mean", "first")
SECONDS_BETWEEN_LINES = 10.0
"""How often the progress bar is written to what is no terminal, where each state stays."""


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
    "--save",
    type=click.Path(),
    help="Draw the results on the pictures: a file, or a folder for several inputs.",
)
@click.option(
    "--pool",
    type=click.Choice(POOLS),
    help="For features: one vector per input, the mean over its tokens or that of the first.",
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
    save: str | None,
    pool: str | None,
    arguments: tuple[str, ...],
    progress: bool | None,
) -> None:
    """Run TASK (fill-mask, summarization, ...) on every INPUT.

    An INPUT is a file, a folder, a pattern, or - for standard input.
    A text file counts line by line, .jsonl, .json and .csv files record by record. Pictures, sound
    and videos are inputs themselves.

    \b
    dovetail run fill-mask --text "The sky is [MASK]." --arg top_k=3
    dovetail run token-classification letters/*.txt -f jsonl -o names.jsonl
    cat questions.jsonl | dovetail run question-answering - -f csv
    dovetail run object-detection picture.jpg --save boxes.png
    """
    options = key_values(arguments)
    if pool and batch_size > 1:
        raise click.UsageError("--pool goes with --batch-size 1: batches pad their shorter texts.")
    kind = _kind_of_input(task)
    items: list[Any] = list(texts)
    if inputs or not texts:
        items += collect(
            inputs,
            of_text=kind in ("text", "multimodal"),
            or_media=kind == "multimodal",
            whole=unit == "file",
        )

    from dovetail import pipeline

    runner = pipeline(
        task,
        model=model,
        revision=revision,
        device=device,
        torch_dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
    draw = pictures.drawing_of(runner, task, save, len(items)) if save else None
    shown = sys.stderr.isatty() if progress is None else progress
    answers = runner(iter(items), batch_size=batch_size, **options)
    results = _results(items, answers, shown=shown)
    if save and draw:
        results = pictures.saved(results, draw, save, len(items))
    publish(
        render((_pooled(result, pool) for result in results) if pool else results, style), output
    )


def _kind_of_input(task: str) -> str:
    """What the task reads: text, image, multimodal...; an unknown task fails before anything
    loads.
    """
    family = "translation" if task.startswith("translation_") else task
    return registry.pipelines().get(family).inputs


def _results(items: list[Any], answers: Any, *, shown: bool) -> Iterator[Result]:
    from tqdm import tqdm

    pause = 0.1 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES
    progress = tqdm(
        answers,
        total=len(items),
        unit="input",
        disable=not shown,
        file=sys.stderr,
        mininterval=pause,
    )
    return (Result(item, answer) for item, answer in zip(items, progress, strict=True))


def _pooled(result: Result, pool: str) -> Result:
    """Features (1, T, D) as one vector (D)."""
    import numpy

    try:
        states = numpy.asarray(result.output, dtype=numpy.float32)
    except (TypeError, ValueError):
        states = numpy.empty(0, dtype=numpy.float32)
    if states.ndim != 3:
        raise click.UsageError("--pool is for tasks that answer with features of every token.")
    vector = states[0].mean(axis=0) if pool == "mean" else states[0, 0]
    return Result(result.input, vector.tolist())
