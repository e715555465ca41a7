"""``dovetail convert SOURCE OUTPUT``: checkpoints between their authors' layouts and the Hub's."""

from __future__ import annotations

from typing import Any

import click

from dovetail import registry
from dovetail.cli.options import key_values
from dovetail.cli.output import table

DTYPES = ("float32", "float16", "bfloat16")


def show_layouts(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print every declared layout and stop."""
    if wanted and not ctx.resilient_parsing:
        rows = [
            {
                "model_type": item.model_type,
                "layout": item.layout,
                "original": item.summary,
                "package": registry.converters().providers(item.keys[0])[0].distribution,
            }
            for item in registry.converters().declarations()
        ]
        click.echo(table(rows), nl=False)
        ctx.exit()


@click.command()
@click.argument("source")
@click.argument("output", type=click.Path(file_okay=False))
@click.option("--model-type", help="Architecture of the original, such as llama.")
@click.option("--layout", help="Layout of the original, where several fit.")
@click.option("--to-original", is_flag=True, help="Convert from the Hub's layout to an original.")
@click.option("--dtype", type=click.Choice(DTYPES), help="Number format; by default as it is.")
@click.option(
    "--max-shard-size", default="5GB", show_default=True, help="Largest file in the Hub's layout."
)
@click.option(
    "--shards", default=1, show_default=True, help="Parts of a model-parallel original layout."
)
@click.option(
    "--config", "settings", multiple=True, metavar="KEY=VALUE", help="A field of the config."
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=show_layouts,
    help="List the layouts and stop.",
)  # fmt: skip
def convert(source: str, output: str, settings: tuple[str, ...], **options: Any) -> None:
    """Convert the original checkpoint SOURCE, a file or a folder, into the folder OUTPUT in the
    Hub's layout, or back with --to-original.

    The layout is found out where only one fits. Settings that an original does not hold, or holds
    wrongly, are given as --config KEY=VALUE.
    """
    from dovetail.converting import convert_checkpoint

    done = convert_checkpoint(source, output, config=key_values(settings, "--config"), **options)
    direction = "to" if done.to_original else "from"
    click.echo(
        f"{done.tensors} tensors converted {direction} {done.model_type}/{done.layout}; "
        f"{len(done.files)} files are in {done.output}."
    )
    if done.lost:
        click.echo(
            f"The original cannot express {', '.join(done.lost)}: give them as --config when you "
            "convert back.",
            err=True,
        )
