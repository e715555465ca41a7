"""What `dovetail-agents` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import ToolDeclaration


@hookimpl
def dovetail_tools() -> list[ToolDeclaration]:
    """The tools of this distribution."""
    return []
