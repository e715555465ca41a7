"""``dovetail plugins``: what is installed and provides what; who provides a name, and who else."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from dovetail import registry
from dovetail.errors import UnknownNameError, near_matches
from dovetail.plugins import Claim, Plugin, manager
from dovetail.registry import Provision

INDENT = "    "
SLOW = 0.5
"""Seconds that loading a plugin may take before the list says so."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins and what each provides."""
    if ctx.invoked_subcommand is not None:
        return
    installed = manager().plugins
    if as_json:
        click.echo(json.dumps([plugin_record(plugin) for plugin in installed], indent=2))
        return
    for plugin in installed:
        click.echo("\n".join(plugin_lines(plugin)))


@plugins.command()
@click.argument("name")
@as_json
@click.pass_context
def why(ctx: click.Context, name: str, as_json: bool) -> None:
    """Say who provides NAME (a model type, task, class, command ...) and who else claims it.

    The exit status is 1 when nobody holds the name, or when several plugins contest it.
    """
    found = registry.why(name)
    if as_json:
        records = [provision_record(provision) for provision in found]
        click.echo(json.dumps({"name": name, "provided": records}, indent=2))
    elif found:
        click.echo("\n".join(line for item in found for line in provision_lines(name, item)))
    else:
        raise unknown(name)
    ctx.exit(0 if found and all(item.verdict.holder for item in found) else 1)


def plugin_record(plugin: Plugin) -> dict[str, Any]:
    """The JSON form of a plugin; `provides` maps a kind of name to names."""
    return asdict(plugin) | {"provides": registry.provided_by(plugin)}


def plugin_lines(plugin: Plugin) -> Iterator[str]:
    """One plugin for people: a heading, then what it provides or why it does not."""
    state = "" if plugin.status == "active" else f"  [{plugin.status}]"
    yield f"{plugin.name}  ({plugin}){state}"
    if plugin.reason:
        yield from wrapped(plugin.reason)
    if plugin.seconds > SLOW:
        yield from wrapped(
            f"slow: took {plugin.seconds:.1f} s to load. Its plugin module should import nothing "
            "heavy; every start of Dovetail waits for it."
        )
    for kind, names in registry.provided_by(plugin).items():
        # Public names are what the other kinds export, and there are very many: JSON lists them.
        shown = f"{len(names)}" if kind == registry.PUBLIC else ", ".join(names)
        yield from wrapped(f"{plural(kind)}: {shown}")


def provision_record(provision: Provision) -> dict[str, Any]:
    """The JSON form of one meaning of a name."""
    holder = provision.verdict.holder
    return {
        "kind": provision.kind,
        "holder": None if holder is None else claim_record(holder),
        "reason": provision.verdict.reason,
        "claims": [claim_record(claim) for claim in provision.verdict.rivals],
    }


def claim_record(claim: Claim) -> dict[str, str]:
    """The JSON form of a claim: the plugin and where the object lives."""
    plugin = claim.plugin
    return {
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "target": registry.target_of(claim),
    }


def provision_lines(name: str, provision: Provision) -> Iterator[str]:
    """One meaning of a name, for people."""
    verdict = provision.verdict
    if verdict.holder is None:
        yield f"{provision.kind} {name!r} is contested; using it is an error"
    else:
        yield f"{provision.kind} {name!r} is provided by {verdict.holder.plugin}"
        yield f"{INDENT}{registry.target_of(verdict.holder)}"
        if len(verdict.rivals) > 1:
            yield f"{INDENT}because: {verdict.reason}"
    for claim in verdict.rivals:
        if claim is not verdict.holder:
            target = registry.target_of(claim)
            yield f"{INDENT}also claimed by {claim.plugin}: {target}"
    if verdict.holder is None:
        chosen = verdict.rivals[-1].plugin.distribution
        yield f'{INDENT}-> settle it with DOVETAIL_PREFER="{name}={chosen}"'


def unknown(name: str) -> Exception:
    """The error for a name that nobody installed provides: which package would, or near matches."""
    for kind in ("model", "pipeline", "quantizer", "public"):
        missing = registry.absence(kind, name, repr(name))
        if missing is not None:
            return missing
    names = {key for item in registry.all_registries() for key in item.names()}
    near = near_matches(name, names | set(manager().exports()))
    return UnknownNameError(f"Nothing installed provides {name!r}.{near}")


def plural(kind: str) -> str:
    """``task`` to ``tasks``, ``generation strategy`` to ``generation strategies``."""
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def wrapped(text: str) -> list[str]:
    """`text` indented, within the width of the terminal."""
    return textwrap.wrap(
        text,
        shutil.get_terminal_size().columns,
        initial_indent=INDENT,
        subsequent_indent=INDENT * 2,
        break_long_words=False,
        break_on_hyphens=False,
    )
