"""What `dovetail-training` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import CallbackDeclaration


@hookimpl
def dovetail_callbacks() -> list[CallbackDeclaration]:
    """The training callbacks of this distribution."""
    return []
