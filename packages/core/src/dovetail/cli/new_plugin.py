"""``dovetail new-plugin``: a plugin package to start from, whose tests pass as written."""

from __future__ import annotations

import click

from dovetail.newplugin import KINDS, write_plugin


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="model", show_default=True)
@click.option(
    "--into",
    type=click.Path(file_okay=False),
    default=".",
    show_default=True,
    help="Folder in which to make the new one.",
)
def new_plugin(name: str, kind: str, into: str) -> None:
    """Write a new plugin package called NAME (as in pip install NAME)."""
    folder = write_plugin(name, kind, into)
    click.echo(f"Wrote {folder}. Next:\n")
    click.echo(f"  cd {folder}\n  pip install -e '.[test]'\n  pytest\n  dovetail plugins")
