"""Which of the declared layouts an original has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dovetail import registry
from dovetail.converting.layout import Layout
from dovetail.converting.storage import Original, OtherLayoutError, Source, Storage
from dovetail.errors import CheckpointError, UnknownNameError

SHOWN = 5


class Candidate(NamedTuple):
    """A layout and what it is declared as."""

    model_type: str
    name: str
    layout: Layout

    def __str__(self) -> str:
        return f"{self.model_type}/{self.name}"


def candidates(model_type: str | None = None, layout: str | None = None) -> list[Candidate]:
    """The declared layouts of a model type, of a name, or all.

    Raises:
        UnknownNameError: there is none; the message lists those that there are.
    """
    if model_type is not None and layout is not None:
        declared = [registry.converters().get(f"{model_type}/{layout}")]
    else:
        declared = [
            item
            for item in registry.converters().declarations()
            if model_type in (None, item.model_type) and layout in (None, item.layout)
        ]
    if not declared:
        wanted = f"model type {model_type!r}" if layout is None else f"name {layout!r}"
        raise UnknownNameError(
            f"There is no original layout of {wanted}. Known are "
            f"{', '.join(registry.converters().names()) or 'none: no package declares any'}."
        )
    return [
        Candidate(item.model_type, item.layout, registry.converters().load(item.keys[0]))
        for item in declared
    ]


def choose(source: Source, among: Sequence[Candidate]) -> tuple[Candidate, Original]:
    """The candidate that `source` is of, and what it holds.

    Raises:
        CheckpointError: none fits, several fit, or the files cannot be read.
    """
    opened: list[tuple[Storage, Original | CheckpointError]] = []
    fitting = []
    for candidate in among:
        storage = candidate.layout.storage
        if not storage.find(source):
            continue
        if not any(storage == known for known, _ in opened):
            opened.append((storage, _read(storage, source)))
        content = next(content for known, content in opened if storage == known)
        if isinstance(content, Original) and candidate.layout.recognises(content):
            fitting.append((candidate, content))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise CheckpointError(
            f"{source} can be read as {', '.join(str(one) for one, _ in fitting)}: choose by "
            "model_type= and layout=."
        )
    failures = [content for _, content in opened if isinstance(content, CheckpointError)]
    failures.sort(key=lambda failure: isinstance(failure, OtherLayoutError))
    if failures and (len(among) == 1 or not isinstance(failures[0], OtherLayoutError)):
        raise failures[0]
    raise CheckpointError(_unknown(source, among, opened))


def _read(storage: Storage, source: Source) -> Original | CheckpointError:
    try:
        return storage.read(source)
    except CheckpointError as error:
        return error


def _unknown(
    source: Source,
    among: Sequence[Candidate],
    opened: Sequence[tuple[Storage, Original | CheckpointError]],
) -> str:
    known = ", ".join(map(str, among))
    contents = [content for _, content in opened if isinstance(content, Original)]
    held = "no files of one"
    if contents:
        held = f"tensors such as {', '.join(list(contents[0].tensors)[:SHOWN])}"
    return (
        f"{source} is of no known layout: it holds {held}. Known are: {known}. A checkpoint that "
        "is in the Hub's layout already is converted to an original with to_original=True "
        "(--to-original)."
    )
