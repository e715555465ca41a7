"""The plugins of this process: which are in use, who provides what, and the user's choices.

A program chooses by call what the environment chooses by variable::

    from dovetail import plugins

    plugins.disable("acme-models")  # as DOVETAIL_DISABLE_PLUGINS=acme-models
    plugins.prefer("llama", "acme-models")  # as DOVETAIL_PREFER="llama=acme-models"
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dovetail.declarations import Declaration
from dovetail.discovery import (
    ALLOW,
    DISABLE,
    PREFER,
    Claim,
    Discovery,
    Plugin,
    Selection,
    discover,
    targets,
)
from dovetail.errors import PluginConflictError, PluginLoadError, near_matches, quoted

__all__ = [
    "ALLOW",
    "DISABLE",
    "PREFER",
    "Claim",
    "Discovery",
    "Plugin",
    "PluginHost",
    "Selection",
    "Verdict",
    "allow",
    "disable",
    "enable",
    "manager",
    "prefer",
    "targets",
]


@dataclass(frozen=True)
class Verdict:
    """Who holds a name (None in a conflict), why, and all who claim it."""

    holder: Claim | None
    reason: str
    rivals: tuple[Claim, ...]


class PluginHost:
    """The plugins of this process, discovered when first asked for.

    Safe to use from several threads and after a fork: a discovery is built apart and published
    whole, so nobody sees half of one.
    """

    def __init__(self, selection: Selection | None = None) -> None:
        self._given = selection
        self._discovery: Discovery | None = None
        self._warned: set[str] = set()
        self._discovering = False
        self._lock = threading.RLock()

    @property
    def selection(self) -> Selection:
        """The choice in force: the one made by call, else the environment's."""
        return self._given if self._given is not None else Selection.from_environment()

    def select(self, **changes: Any) -> None:
        """Change fields of the selection; the next question discovers anew."""
        with self._lock:
            self._given = replace(self.selection, **changes)
            self._discovery = None

    def reset(self) -> None:
        """Forget everything: what was discovered, chosen by call and warned about."""
        with self._lock:
            self._warned.clear()
            self._given = self._discovery = None

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent process may have held."""
        self._lock = threading.RLock()
        self._discovering = False

    @property
    def discovery(self) -> Discovery:
        """What is installed, looked up once."""
        found = self._discovery
        if found is not None:
            return found
        with self._lock:
            if self._discovery is None:
                self._discovery = self._discover()
            return self._discovery

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every installed plugin, the core first, the failed and disabled ones included."""
        return self.discovery.plugins

    def claims(self, kind: type[Declaration]) -> dict[str, list[Claim]]:
        """Name to claims for one kind of declaration."""
        return self.discovery.claims(kind)

    def exports(self) -> dict[str, list[Claim]]:
        """Public name to claims."""
        return self.discovery.exports

    def settle(self, name: str, claims: Sequence[Claim]) -> Claim:
        """The claim that holds `name`.

        Raises:
            PluginConflictError: several plugins claim it and nothing decides between them.
        """
        verdict = self.judge(name, claims)
        if verdict.holder is None:
            raise PluginConflictError(_conflict(name, verdict.rivals))
        return verdict.holder

    def judge(self, name: str, claims: Sequence[Claim]) -> Verdict:
        """Who holds `name` and why; equal claims (one class declared twice) are one."""
        rivals = tuple(
            claim
            for index, claim in enumerate(claims)
            if all(claim.value != earlier.value for earlier in claims[:index])
        )
        if len(rivals) == 1:
            return Verdict(rivals[0], "nobody else claims it", rivals)
        for claim in rivals:
            if self.discovery.selection.prefers(claim, name):
                return Verdict(claim, f"preferred by {PREFER} or dovetail.plugins.prefer", rivals)
        winners = [c for c in rivals if all(c is other or c.wins_over(other) for other in rivals)]
        if len(winners) == 1:
            return Verdict(winners[0], "its declaration overrides the others", rivals)
        return Verdict(None, "conflict", rivals)

    def _discover(self) -> Discovery:
        if self._discovering:
            raise PluginLoadError(
                "A plugin module asked for another plugin's names while plugins were being "
                "discovered. Import such names where they are used, not at the top of the module "
                "that the entry point names."
            )
        self._discovering = True
        try:
            result = discover(self.selection)
        finally:
            self._discovering = False
        self.warn(_complaints(result))
        return result

    def warn(self, texts: Iterable[str]) -> None:
        """Tell the user each of these once."""
        messages = [text for text in texts if text not in self._warned]
        if messages:
            from dovetail.logging import get_logger  # seldom needed

            self._warned.update(messages)
            for text in messages:
                get_logger(__name__).warning(text)


def _conflict(name: str, rivals: Sequence[Claim]) -> str:
    listed = " and ".join(f"{claim.plugin} ({quoted(claim.value)})" for claim in rivals)
    first = rivals[-1].plugin.distribution
    return (
        f"{name!r} is claimed by {len(rivals)} plugins: {listed}. Say which one is to win: set "
        f'{PREFER}="{name}={first}", or call dovetail.plugins.prefer({name!r}, {first!r}). '
        "A plugin that is meant to replace another says so with `overrides` in its declaration."
    )


def _complaints(found: Discovery) -> Iterator[str]:
    """What the user is to be told, once."""
    for plugin in found.plugins:
        if plugin.status == "failed":
            yield (
                f"Plugin {plugin.name!r} of {plugin} is disabled, because it failed to load: "
                f"{plugin.reason.rstrip('.')}. Everything else works. Update or uninstall "
                f"{plugin.distribution}, or silence this with {DISABLE}={plugin.name}."
            )
    if any(found.plugins[0].answers_to(name) for name in found.selection.disabled):
        yield f"The core's own plugin cannot be disabled; {DISABLE} names it in vain."
    for name in (name for name, plugin in found.selection.preferred.items() if not plugin):
        yield f"{PREFER} holds {name!r}, which is not of the form name=plugin and says nothing."
    for name in found.selection.unmatched(found.plugins):
        yield _no_such_plugin(name, found.plugins)
    for name, preferred in found.selection.preferred.items():
        winner = next((p for p in found.plugins if p.answers_to(preferred)), None)
        if winner is not None and winner.status == "active":
            names = found.names_of(winner)
            if name not in names:
                near = near_matches(name, names)
                yield f"{PREFER} prefers {winner} for {name!r}, which it does not provide.{near}"


def _no_such_plugin(name: str, plugins: Sequence[Plugin]) -> str:
    known = {name for plugin in plugins for name in (plugin.name, plugin.distribution)}
    return (
        f"No installed plugin is called {name!r}, which {ALLOW}, {DISABLE}, {PREFER} or a call of "
        f"dovetail.plugins names.{near_matches(name, known)} `dovetail plugins` lists them."
    )


_HOST = PluginHost()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOST.after_fork)


def manager() -> PluginHost:
    """The plugins of this process."""
    return _HOST


def allow(*names: str) -> None:
    """Load only these plugins (by plugin or distribution name); without names, all again."""
    _HOST.select(allowed=frozenset(names) or None)


def disable(*names: str) -> None:
    """Do without these plugins, in addition to those disabled already."""
    _HOST.select(disabled=_HOST.selection.disabled | set(names))


def enable(*names: str) -> None:
    """Take plugins off the disabled ones, and add them to the allowed ones if those are listed."""
    selection = _HOST.selection
    meant = [plugin for plugin in _HOST.plugins if any(map(plugin.answers_to, names))]
    kept = (name for name in selection.disabled if not any(p.answers_to(name) for p in meant))
    allowed = None if selection.allowed is None else selection.allowed | set(names)
    _HOST.select(disabled=frozenset(kept), allowed=allowed)
    unknown = Selection(allowed=frozenset(names)).unmatched(_HOST.plugins)
    _HOST.warn(_no_such_plugin(name, _HOST.plugins) for name in unknown)


def prefer(name: str, plugin: str) -> None:
    """Settle a double claim: `name` (a model type, a task, a class ...) comes from `plugin`.

    Preferring a plugin for a model type also settles the classes declared with it.
    """
    _HOST.select(preferred={**_HOST.selection.preferred, name: plugin})
