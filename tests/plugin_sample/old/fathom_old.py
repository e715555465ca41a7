"""Hooks with fewer arguments than today's, and an optional one that the core does not call."""

from dovetail import hookimpl
from dovetail.declarations import ToolDeclaration


@hookimpl
def dovetail_tools():
    return [ToolDeclaration("lead_line", tool="fathom_old:LeadLine")]


@hookimpl(optionalhook=True)
def dovetail_sails():
    return []


class LeadLine:
    """An old tool."""
