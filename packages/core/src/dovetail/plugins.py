"""Plugins: finding them, loading them so that a broken one costs only itself, who provides what.

A plugin is a module (or object) named by an entry point of the group ``dovetail``. Loading one
means importing that module, which is light, and calling its hooks, which return declarations.
Nothing here imports torch or a model.

    >>> from dovetail import plugins
    >>> plugins.disable("acme-models")  # as DOVETAIL_DISABLE_PLUGINS=acme-models
    >>> plugins.prefer("llama", "acme-models")  # as DOVETAIL_PREFER="llama=acme-models"
"""

from __future__ import annotations

import os
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pluggy

from dovetail import declarations, hookspecs
from dovetail.declarations import Declaration, Target
from dovetail.errors import PluginConflictError, PluginLoadError, near_matches

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint

GROUP = "dovetail"
CORE = "core"
ALLOW, DISABLE, PREFER = "DOVETAIL_PLUGINS", "DOVETAIL_DISABLE_PLUGINS", "DOVETAIL_PREFER"
TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """One installed plugin and what became of it.

    `status` is ``active``, ``disabled`` (the user said so) or ``failed``; `reason` says why it is
    not active, and `detail` holds the traceback of a failure.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: str = "active"
    reason: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    def answers_to(self, name: str) -> bool:
        """Whether `name` means this plugin: its own name or its distribution's, however spelt."""
        return canonical(name) in (canonical(self.name), canonical(self.distribution))


@dataclass(frozen=True)
class Claim:
    """One plugin's claim to a name.

    `value` is the declaration itself or, for a public name, the target.
    """

    plugin: Plugin
    declaration: Declaration
    value: Any

    def wins_over(self, other: Claim) -> bool:
        """Whether this claim's declaration overrides the other's distribution."""
        return any(other.plugin.answers_to(name) for name in self.declaration.overrides)


@dataclass(frozen=True)
class Selection:
    """Which plugins the user wants, and whom they prefer where two claim one name.

    `allowed` is None for "all". `preferred` maps a name, or that of the declaration it comes with,
    to a plugin.
    """

    allowed: frozenset[str] | None = None
    disabled: frozenset[str] = frozenset()
    preferred: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> Selection:
        """Read the choice from the environment.

        ``DOVETAIL_PLUGINS`` and ``DOVETAIL_DISABLE_PLUGINS`` are comma-separated names, and the
        former may be ``none``; ``DOVETAIL_PREFER`` holds ``name=plugin`` pairs. Empty ones count as
        unset.
        """
        allowed = _listed(ALLOW)
        pairs = [item.partition("=") for item in _listed(PREFER)]
        return cls(
            allowed=(frozenset(allowed) - {"none"}) if allowed else None,
            disabled=frozenset(_listed(DISABLE)),
            preferred={name.strip(): plugin.strip() for name, _, plugin in pairs},
        )

    def refusal(self, plugin: Plugin) -> str:
        """Why `plugin` is not to be loaded; empty when it is."""
        if any(plugin.answers_to(name) for name in self.disabled):
            return f"disabled by {DISABLE} or dovetail.plugins.disable"
        if self.allowed is not None and not any(plugin.answers_to(name) for name in self.allowed):
            return f"not in the list of {ALLOW} or dovetail.plugins.allow"
        return ""

    def prefers(self, claim: Claim, name: str) -> bool:
        """Whether the user settled `name`, or the declaration it comes with, for this claim."""
        chosen = (self.preferred.get(key) for key in (name, *claim.declaration.keys))
        plugin = next((plugin for plugin in chosen if plugin is not None), None)
        return plugin is not None and claim.plugin.answers_to(plugin)

    def unmatched(self, plugins: Sequence[Plugin]) -> Iterator[str]:
        """The names that no installed plugin answers to."""
        wanted = {*(self.allowed or ()), *self.disabled, *self.preferred.values()} - {""}
        return (n for n in sorted(wanted) if not any(plugin.answers_to(n) for plugin in plugins))


@dataclass(frozen=True)
class Discovery:
    """What one complete look at the installed distributions found."""

    plugins: tuple[Plugin, ...]
    selection: Selection
    found: tuple[tuple[Plugin, Declaration], ...]

    def claims(self, kind: type[Declaration]) -> dict[str, list[Claim]]:
        """Name (model type, task, method ...) to the claims to it, for one kind of declaration."""
        table: dict[str, list[Claim]] = {}
        for plugin, declaration in self.found:
            if isinstance(declaration, kind):
                for key in declaration.keys:
                    table.setdefault(key, []).append(Claim(plugin, declaration, declaration))
        return table

    @cached_property
    def exports(self) -> dict[str, list[Claim]]:
        """Public name to the claims to it."""
        table: dict[str, list[Claim]] = {}
        for plugin, declaration in self.found:
            for name, target in declaration.exports.items():
                table.setdefault(name, []).append(Claim(plugin, declaration, target))
        return table


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


def discover(selection: Selection) -> Discovery:
    """Load the core's own plugin and every installed one that `selection` lets through."""
    from dovetail import builtin

    host = specified_hooks()
    core = Plugin(CORE, "dovetail", core_version(), builtin.__name__)
    plugins = [core]
    found = [(core, declaration) for declaration in collect(builtin, host)]
    installed, damaged = installed_plugins()
    for plugin, entry in installed:
        refusal = selection.refusal(plugin)
        if refusal:
            plugin = replace(plugin, status="disabled", reason=refusal)
        else:
            plugin, declared = _load_guarded(plugin, entry, host)
            found += [(plugin, declaration) for declaration in declared]
        plugins.append(plugin)
    return Discovery((*plugins, *damaged), selection, tuple(found))


def _load_guarded(
    plugin: Plugin, entry: EntryPoint, host: pluggy.PluginManager
) -> tuple[Plugin, list[Declaration]]:
    """Load one plugin whole; when anything at all goes wrong, none of it."""
    try:
        return plugin, collect(entry.load(), host)
    except KeyboardInterrupt:
        raise
    # A module can also leave by SystemExit; nothing a plugin does may take the core down.
    except BaseException as error:
        detail = "".join(traceback.format_exception(error))
        return replace(plugin, status="failed", reason=_cause(error), detail=detail), []


def collect(module: object, host: pluggy.PluginManager) -> list[Declaration]:
    """Everything that the hooks of one plugin module (or object) declare, checked.

    `host` is from `specified_hooks`; the plugin does not stay registered with it.

    Raises:
        PluginLoadError: a hook is unknown, unmarked or a wrapper, or returns what it should not.
    """
    _refuse_unmarked(module)
    try:
        host.register(module)
        host.check_pending()
        callers = [caller for caller in host.get_hookcallers(module) or () if caller.has_spec()]
        calls = [(caller.name, call) for caller in callers for call in caller.get_hookimpls()]
        declared = [item for name, call in calls for item in _call(name, call)]
    except pluggy.PluginValidationError as error:
        raise PluginLoadError(_misspelt(host, module) or str(error)) from error
    finally:
        if host.is_registered(module):
            host.unregister(module)
    if not callers:
        raise PluginLoadError(
            "It implements no hook. Mark its functions with @hookimpl (from dovetail import "
            "hookimpl) and name them as dovetail.hookspecs does."
        )
    return declared


def specified_hooks() -> pluggy.PluginManager:
    """Pluggy with our specs, which checks each implementation against them."""
    host = pluggy.PluginManager(hookspecs.PROJECT)
    host.add_hookspecs(hookspecs)
    return host


def _call(name: str, hook: pluggy.HookImpl) -> Iterator[Declaration]:
    if hook.wrapper or hook.hookwrapper:
        raise PluginLoadError(f"Hook {name} is a wrapper; hooks only return declarations.")
    given = {"core_version": core_version()}
    result = hook.function(*[given[argument] for argument in hook.argnames])
    kind = hook_kinds()[name]
    if not isinstance(result, list | tuple):
        raise PluginLoadError(
            f"Hook {name} returned {type(result).__name__} {_short(result)}; "
            f"it is to return a list of {kind.__name__}."
        )
    for item in result:
        _check_declaration(item, kind, name)
        yield item


def _check_declaration(item: object, kind: type[Declaration], hook: str) -> None:
    if not isinstance(item, kind):
        raise PluginLoadError(
            f"Hook {hook} returned a list with {type(item).__name__} {_short(item)}; "
            f"each item is to be a {kind.__name__}."
        )
    for key in item.keys:
        if not (isinstance(key, str) and key):
            raise PluginLoadError(f"Hook {hook} declares the name {key!r}; a name is a string.")
    for target in targets(item):
        if not (isinstance(target, str) and TARGET.fullmatch(target)):
            raise PluginLoadError(
                f"Hook {hook} declares {_short(item)} with the target {target!r}; "
                'targets are strings such as "package.module:Name".'
            )


@cache
def hook_kinds() -> dict[str, type[Declaration]]:
    """Hook name to the class of declarations it returns, read from the annotations of the specs."""
    specs = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("dovetail_")}
    known = vars(declarations)
    hints = {name: get_type_hints(spec, known)["return"] for name, spec in specs.items()}
    return {name: get_args(hint)[0] for name, hint in hints.items()}


def targets(declaration: Declaration) -> Iterator[Target]:
    """Every target a declaration holds."""
    for item in fields(declaration):
        if "Target" in str(item.type):
            value = getattr(declaration, item.name)
            if isinstance(value, Mapping):
                yield from value.values()
            elif isinstance(value, tuple | list):
                yield from value
            elif value is not None:
                yield value


def installed_plugins() -> tuple[list[tuple[Plugin, EntryPoint]], list[Plugin]]:
    """Every entry point of our group, in a fixed order, and the distributions that are damaged."""
    import importlib_metadata

    damaged: list[Plugin] = []
    try:
        entries = list(importlib_metadata.entry_points(group=GROUP))
    except Exception:  # one damaged distribution, ours or not, spoils the query for all
        entries = []
        for distribution in importlib_metadata.distributions():
            try:
                entries += distribution.entry_points.select(group=GROUP)
            except Exception as error:
                name, version = _distribution(distribution)
                reason = f"its entry points cannot be read: {_cause(error)}"
                damaged.append(Plugin(name, name, version, "", "failed", reason))
    found = [(Plugin(e.name, *_distribution(e.dist), e.value), e) for e in entries]
    return sorted(found, key=lambda pair: (pair[0].distribution, pair[0].name)), damaged


def _distribution(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version as far as damaged metadata tells, without the cost of the e-mail parser."""
    headers: dict[str, str] = {}
    try:
        text = distribution.read_text("METADATA") or "" if distribution else ""
        for line in takewhile(bool, text.splitlines()):
            key, _, value = line.partition(": ")
            headers.setdefault(key, value)
    except (OSError, UnicodeDecodeError):
        pass  # what is missing is said below
    return headers.get("Name", "unknown distribution"), headers.get("Version", "(version unknown)")


def _refuse_unmarked(module: object) -> None:
    for name in hook_kinds():
        function = getattr(module, name, None)
        if callable(function) and not hasattr(function, f"{hookspecs.PROJECT}_impl"):
            raise PluginLoadError(f"Function {name} lacks its mark: write @hookimpl above it.")


def _misspelt(host: pluggy.PluginManager, module: object) -> str:
    names = [call.name for call in host.get_hookcallers(module) or () if not call.has_spec()]
    return " ".join(f"Unknown hook {name!r}.{near_matches(name, hook_kinds())}" for name in names)


def _cause(error: BaseException) -> str:
    """One line: the error and where it was raised; the message alone for our own errors."""
    if isinstance(error, PluginLoadError):
        return str(error)
    text = _short("".join(traceback.format_exception_only(error)).strip().splitlines()[-1], str)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def _short(value: object, form: Callable[[Any], str] = repr) -> str:
    text = form(value)
    return text if len(text) <= 300 else text[:300] + "…"


def _conflict(name: str, rivals: Sequence[Claim]) -> str:
    listed = " and ".join(f"{claim.plugin} ({_short(claim.value)})" for claim in rivals)
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


def _no_such_plugin(name: str, plugins: Sequence[Plugin]) -> str:
    known = {name for plugin in plugins for name in (plugin.name, plugin.distribution)}
    return (
        f"No installed plugin is called {name!r}, which {ALLOW}, {DISABLE}, {PREFER} or a call of "
        f"dovetail.plugins names.{near_matches(name, known)} `dovetail plugins` lists them."
    )


@cache
def core_version() -> str:
    """The version of the installed core."""
    import importlib_metadata

    return _distribution(importlib_metadata.distribution("dovetail"))[1]


def canonical(name: str) -> str:
    """A distribution's or plugin's name in the one spelling of the package index."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(variable: str) -> list[str]:
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]


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
