"""The ``dovetail`` program: one lazy group over the commands that the core and the plugins declare.

A command's module is imported only when that command runs or shows its own help, so ``dovetail
--help`` stays quick and imports no torch. Failures print one clear line; the exit status is 1 for a
failure and 2 for wrong usage.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from dovetail import registry
from dovetail.errors import DovetailError, UnknownNameError

FAILURE = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class CommandGroup(click.Group):
    """A group whose commands come from the registry and are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of every declared command, sorted."""
        return registry.commands().names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; an option given in its place is left to click."""
        if cmd_name.startswith("-"):
            return None
        try:
            command: click.Command = registry.commands().load(cmd_name)
        except UnknownNameError as error:
            raise click.UsageError(str(error), ctx) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the help of their declarations: nothing is imported for it."""
        rows = [(item.name, item.help) for item in registry.commands().declarations()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the version of the core and stop."""
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"dovetail {version('dovetail')}")
        ctx.exit()


@click.group(
    name="dovetail",
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, help="Show the traceback when something fails.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Print the version and stop.",
)
def program(debug: bool) -> None:
    """Run, fetch and examine models. Plugins add commands of their own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program on `arguments` (default: those of the process) and leave with its exit
    status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(execute(words))


def execute(words: list[str]) -> int:
    """Run the program and return its exit status; nothing but `SystemExit` of a command passes
    through.
    """
    try:
        result: Any = program.main(args=words, prog_name="dovetail", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return reader_left()
    except Exception as error:
        return report(error, debug="--debug" in words)
    return result if isinstance(result, int) else 0


def report(error: Exception, *, debug: bool) -> int:
    """Print what went wrong as one message, or as a traceback with `debug`."""
    if debug:
        traceback.print_exception(error)
        return FAILURE
    kind = "" if isinstance(error, DovetailError) else f"{type(error).__name__}: "
    click.echo(f"Error: {kind}{error}", err=True)
    if kind:
        click.echo("`dovetail --debug ...` shows where it happened.", err=True)
    return FAILURE


def reader_left() -> int:
    """End quietly when the reader of a pipe has gone (``dovetail ... | head``)."""
    # The interpreter flushes standard output once more at exit, which would raise again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE
