"""Results as pictures: ``dovetail run --save``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from dovetail.cli.output import Result
from dovetail.cli.sources import REMOTE

SUFFIX = ".png"
"""The format of the pictures in a folder."""


def drawing_of(runner: Any, task: str, target: str, count: int) -> Callable[[Any, Any], Any]:
    """How `runner` draws its results; what cannot be saved is refused before anything runs.

    Raises:
        click.UsageError: the task draws nothing, or `target` is no name of a picture.
    """
    draw: Callable[[Any, Any], Any] | None = getattr(runner, "draw", None)
    if draw is None:
        raise click.UsageError(f"--save goes with tasks that draw; {task} does not.")
    from PIL import Image

    place = Path(target)
    if count > 1 and place.is_file():
        raise click.UsageError(
            f"--save {target}: several inputs need a folder, and this is a file."
        )
    if count == 1 and not place.is_dir():
        if place.suffix.lower() not in Image.registered_extensions():
            raise click.UsageError(
                f"--save {target}: no picture is called so. End it on {SUFFIX} or .jpg."
            )
        if not place.absolute().parent.is_dir():
            raise click.UsageError(f"--save {target}: there is no folder {place.parent}.")
    return draw


def saved(
    results: Iterator[Result], draw: Callable[[Any, Any], Any], target: str, count: int
) -> Iterator[Result]:
    """`results` as they pass, each drawn into `target`: the file, or a folder of files for several
    inputs."""
    place = Path(target)
    in_folder = count > 1 or place.is_dir()
    if in_folder:
        place.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for index, result in enumerate(results):
        path = place / _name(result.input, index, taken) if in_folder else place
        _write(draw(result.input, result.output), path)
        yield result


def _name(source: Any, index: int, taken: set[str]) -> str:
    """The name of a drawing after that of its input; a number where the input has none."""
    named = isinstance(source, str) and not source.startswith(REMOTE)
    stem = Path(source).stem if named else str(index + 1)
    while stem in taken:
        stem = f"{stem}-{index + 1}"
    taken.add(stem)
    return stem + SUFFIX


def _write(picture: Any, path: Path) -> None:
    from PIL import Image

    from dovetail.hub import atomic_write

    content = io.BytesIO()
    picture.save(content, Image.registered_extensions()[path.suffix.lower()])
    atomic_write(path, content.getvalue())
