"""``dovetail doctor``: finds what is broken, says why and what to do; exit status 1 if something
is.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import click

from dovetail import registry
from dovetail.cli.checks import LEVELS, Finding, cache, installation, machine

CHECKS = {
    "versions": installation.versions,
    "plugins": installation.failing_plugins,
    "contested names": installation.contested_names,
    "installed packages": installation.optional_packages,
    "cache": cache.cache_entries,
    "disk": cache.disk_space,
    "threads": machine.threads,
    "graphics card": machine.graphics_card,
}
MARKS = {"error": "✗", "warning": "!", "note": "i"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look for what is broken or slow, and explain it.

    The exit status is 1 if something is broken.
    """
    report = {title: check() for title, check in all_checks().items()}
    broken = any(finding.level == "error" for findings in report.values() for finding in findings)
    if as_json:
        records = {
            title: [item.record() for item in findings] for title, findings in report.items()
        }
        click.echo(json.dumps({"ok": not broken, "checks": records}, indent=2))
    else:
        click.echo(text(report), nl=False)
    ctx.exit(1 if broken else 0)


def all_checks() -> dict[str, Callable[[], list[Finding]]]:
    """Our own checks and those of plugins, by title."""
    declared = registry.checks()
    return CHECKS | {name: declared.load(name) for name in declared.names()}


def text(report: dict[str, list[Finding]]) -> str:
    """The report for people: a line per check, under it what was found, the worst first."""
    lines = []
    for title, findings in report.items():
        lines.append(f"{'✓' if not findings else MARKS[_worst(findings)]} {title}")
        for item in sorted(findings, key=lambda item: LEVELS.index(item.level)):
            lines.append(f"    {item.level}: {item.subject}: {item.problem}")
            lines.append(f"    {' ' * len(item.level)}  -> {item.remedy}")
    counts = [
        sum(item.level == level for found in report.values() for item in found) for level in LEVELS
    ]
    summary = ", ".join(
        f"{count} {level}{'s' * (count != 1)}"
        for count, level in zip(counts, LEVELS, strict=True)
        if count
    )
    return "\n".join([*lines, "", summary + "." if summary else "Everything is in order.", ""])


def _worst(findings: list[Finding]) -> str:
    return min((item.level for item in findings), key=LEVELS.index)
