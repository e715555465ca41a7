"""Checks of what is installed: versions, plugins, double claims, optional packages that do not
import.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec

from packaging.requirements import Requirement

from dovetail import plugins, registry
from dovetail.cli.checks import Finding
from dovetail.plugins import PREFER, Plugin, Verdict

OPTIONAL = {
    "torch": "torch",
    "accelerate": "accelerate",
    "av": "av",
    "bitsandbytes": "bitsandbytes",
    "flash_attn": "flash-attn",
    "PIL": "pillow",
    "peft": "peft",
    "sentencepiece": "sentencepiece",
    "tiktoken": "tiktoken",
    "torchaudio": "torchaudio",
    "triton": "triton",
}
"""Import name to distribution of what Dovetail uses where it is installed (torch: always)."""

IMPORT_SECONDS = 120


def versions() -> list[Finding]:
    """Requirements of the core and of every plugin that the installed versions do not meet."""
    names = dict.fromkeys(
        ["dovetail", *(plugin.distribution for plugin in plugins.manager().plugins)]
    )
    return [finding for name in names for finding in _unmet(name)]


def _unmet(name: str) -> Iterator[Finding]:
    try:
        owner = distribution(name)
    except PackageNotFoundError:
        return
    for line in owner.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from _judge(owner, requirement)


def _judge(owner: Distribution, requirement: Requirement) -> Iterator[Finding]:
    label = f"{owner.name} {owner.version}"
    remedy = f'pip install "{requirement.name}{requirement.specifier}"'
    try:
        found = distribution(requirement.name).version
    except PackageNotFoundError:
        problem = f"requires {requirement.name}{requirement.specifier}, which is not installed"
        yield Finding("warning", label, problem, remedy)
        return
    if not requirement.specifier.contains(found, prereleases=True):
        problem = f"requires {requirement.name}{requirement.specifier}, but {found} is installed"
        yield Finding("error", label, problem, remedy)


def failing_plugins() -> list[Finding]:
    """Plugins that fail to load, are switched off, or are named by a setting but not installed."""
    host = plugins.manager()
    found = [_state(plugin) for plugin in host.plugins if plugin.status != "active"]
    for name in host.discovery.selection.unmatched(host.plugins):
        problem = "a DOVETAIL_ setting names this plugin, but no installed plugin is called so"
        found.append(
            Finding("warning", name, problem, "correct the name: `dovetail plugins` lists them")
        )
    return found


def _state(plugin: Plugin) -> Finding:
    subject = f"plugin {plugin.name} ({plugin})"
    if plugin.status == "disabled":
        return Finding("note", subject, plugin.reason, "nothing, if that is what you want")
    remedy = f"update or uninstall {plugin.distribution}, or set {plugins.DISABLE}={plugin.name}"
    return Finding("error", subject, f"fails to load: {plugin.reason}", remedy)


def contested_names() -> list[Finding]:
    """Names that several plugins claim: a conflict where nothing decides, else one is shadowed."""
    found = []
    for kind in registry.all_registries():
        for name in kind.names():
            verdict = kind.verdict(name)
            if verdict is not None and len(verdict.rivals) > 1:
                found.append(_contest(f"{kind.label} {name!r}", name, verdict))
    return found


def _contest(subject: str, name: str, verdict: Verdict) -> Finding:
    if verdict.holder is None:
        rivals = " and ".join(str(claim.plugin) for claim in verdict.rivals)
        remedy = f"set {PREFER}={name}={verdict.rivals[0].plugin.name}, or uninstall one of them"
        return Finding(
            "error", subject, f"is claimed by {rivals}, and nothing says who is to win", remedy
        )
    losers = ", ".join(str(claim.plugin) for claim in verdict.rivals if claim is not verdict.holder)
    problem = f"of {losers} is shadowed by {verdict.holder.plugin}: {verdict.reason}"
    return Finding("warning", subject, problem, f"set {PREFER}={name}=PLUGIN to choose another")


def optional_packages() -> list[Finding]:
    """Packages that are installed but do not import; each import happens in another process."""
    waiting = [module for module in OPTIONAL if find_spec(module) is not None]
    found = []
    while waiting:
        done, complaint = _import_all(waiting)
        if done == len(waiting):
            break
        package = OPTIONAL[waiting[done]]
        remedy = f"reinstall it for this Python and torch: pip install --force-reinstall {package}"
        found.append(
            Finding("error", package, f"is installed but does not import: {complaint}", remedy)
        )
        waiting = waiting[done + 1 :]
    return found


def _import_all(modules: Sequence[str]) -> tuple[int, str]:
    """How many of `modules` a fresh interpreter imports, in order, before one fails, and that one's
    complaint.
    """
    lines = "\n".join(f"import {module}; print('imported', flush=True)" for module in modules)
    try:
        answer = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", lines],
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        heard = error.stdout or b""
        text = heard if isinstance(heard, str) else heard.decode()
        return text.count("imported\n"), f"no answer within {IMPORT_SECONDS} s"
    complaint = re.sub(r"\s+", " ", (answer.stderr.strip().splitlines() or [""])[-1])
    return answer.stdout.count("imported\n"), complaint or f"the process died ({answer.returncode})"
