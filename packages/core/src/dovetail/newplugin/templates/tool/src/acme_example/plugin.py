"""What this package adds to Dovetail. Importing this module does not import the tool."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import ToolDeclaration


@hookimpl
def dovetail_tools() -> list[ToolDeclaration]:
    """The tools of this package, by the name under which agents call them."""
    return [ToolDeclaration("acme_example", tool="acme_example.tool:AcmeExampleTool")]
