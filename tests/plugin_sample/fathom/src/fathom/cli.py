"""The command ``dovetail fathom``."""

import click


@click.command()
@click.argument("text")
def fathom(text):
    """Say how many letters TEXT has."""
    click.echo(f"{len(text)} letters deep")
