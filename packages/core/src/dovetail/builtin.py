"""What the core itself provides, through the same hooks as every plugin."""

from __future__ import annotations

from dovetail.declarations import CommandDeclaration
from dovetail.hookspecs import hookimpl


@hookimpl
def dovetail_commands() -> list[CommandDeclaration]:
    """The subcommands of the program that need no other package."""
    return [
        CommandDeclaration(
            "new-plugin", "dovetail.cli.new_plugin:new_plugin", "Write a new plugin package."
        ),
        CommandDeclaration(
            "plugins", "dovetail.cli.plugins:plugins", "List plugins and what they provide."
        ),
    ]
