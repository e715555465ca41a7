"""Options that several commands share, and the reading of ``key=value`` words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

DTYPES = ("auto", "float32", "float16", "bfloat16")

C = TypeVar("C", bound=Callable[..., Any])


def model_options(command: C) -> C:
    """Where the model comes from and where it runs: revision, cache, device, dtype, consent to its
    code.
    """
    decorators = [
        click.option("--revision", help="Branch, tag or commit on the Hub."),
        click.option("--device", help="Where to run: cpu, cuda, cuda:1, mps."),
        click.option(
            "--dtype",
            type=click.Choice(DTYPES),
            default="auto",
            show_default=True,
            help="Number format of the weights; auto keeps the checkpoint's.",
        ),
        click.option(
            "--trust-remote-code",
            is_flag=True,
            help="Allow the checkpoint to run Python code of its own.",
        ),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def key_values(words: Iterable[str], option: str = "--arg") -> dict[str, Any]:
    """``["top_k=3", "name=x"]`` as ``{"top_k": 3, "name": "x"}``: a value that is JSON is read as
    JSON.

    Raises:
        click.BadParameter: a word without ``=`` or without a key.
    """
    pairs: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not (key and sign):
            raise click.BadParameter(f"{word!r} is not of the form key=value.", param_hint=option)
        pairs[key.replace("-", "_")] = _json_or_text(value)
    return pairs


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
