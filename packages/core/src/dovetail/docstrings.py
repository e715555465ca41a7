"""Decorators that put together docstrings from parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Documented = TypeVar("Documented", bound=Callable[..., object])


def add_start_docstrings(*docstr: str) -> Callable[[Documented], Documented]:
    """Put texts before the docstring of a function or class."""

    def decorate(documented: Documented) -> Documented:
        documented.__doc__ = "".join(docstr) + (documented.__doc__ or "")
        return documented

    return decorate


def add_end_docstrings(*docstr: str) -> Callable[[Documented], Documented]:
    """Put texts behind the docstring of a function or class."""

    def decorate(documented: Documented) -> Documented:
        documented.__doc__ = (documented.__doc__ or "") + "".join(docstr)
        return documented

    return decorate
