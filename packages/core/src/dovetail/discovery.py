"""Discovery: find the installed plugins and load them, so that a broken one costs only itself.

A plugin is a module (or object) named by an entry point of the group ``dovetail``. Loading one
means importing that module, which is light, and calling its hooks, which return declarations.
Nothing here imports torch or a model.
"""

from __future__ import annotations

import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pluggy

from dovetail import declarations, hookspecs
from dovetail.declarations import Declaration, Target
from dovetail.errors import PluginLoadError, near_matches, quoted

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

GROUP = "dovetail"
CORE = "core"
ALLOW, DISABLE, PREFER = "DOVETAIL_PLUGINS", "DOVETAIL_DISABLE_PLUGINS", "DOVETAIL_PREFER"
TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """One installed plugin and what became of it.

    `status` is ``active``, ``disabled`` (the user said so) or ``failed``; `reason` says why it is
    not active, and `detail` holds the traceback of a failure. `seconds` is what loading it took.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: str = "active"
    reason: str = ""
    detail: str = ""
    seconds: float = field(default=0.0, compare=False)

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

    def names_of(self, plugin: Plugin) -> set[str]:
        """Every name, of whatever kind, that `plugin` claims."""
        mine = [declaration for owner, declaration in self.found if owner == plugin]
        return {name for item in mine for name in (*item.keys, *item.exports)}

    @property
    def unused(self) -> str:
        """A sentence about the plugins that are not active, empty when all are."""
        names = [f"{p.name} ({p.status})" for p in self.plugins if p.status != "active"]
        return f" Plugins not in use: {', '.join(names)}." if names else ""

    @cached_property
    def exports(self) -> dict[str, list[Claim]]:
        """Public name to the claims to it."""
        table: dict[str, list[Claim]] = {}
        for plugin, declaration in self.found:
            for name, target in declaration.exports.items():
                table.setdefault(name, []).append(Claim(plugin, declaration, target))
        return table


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
            start = time.perf_counter()
            plugin, declared = _load_guarded(plugin, entry, host)
            plugin = replace(plugin, seconds=time.perf_counter() - start)
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
            f"Hook {name} returned {type(result).__name__} {quoted(result)}; "
            f"it is to return a list of {kind.__name__}."
        )
    for item in result:
        _check_declaration(item, kind, name)
        yield item


def _check_declaration(item: object, kind: type[Declaration], hook: str) -> None:
    if not isinstance(item, kind):
        raise PluginLoadError(
            f"Hook {hook} returned a list with {type(item).__name__} {quoted(item)}; "
            f"each item is to be a {kind.__name__}."
        )
    _check_containers(item, hook)
    for key in (*item.keys, *item.overrides, *item.exports):
        if not (isinstance(key, str) and key):
            raise PluginLoadError(f"Hook {hook} declares the name {key!r}; a name is a string.")
    for target in targets(item):
        if not (isinstance(target, str) and TARGET.fullmatch(target)):
            raise PluginLoadError(
                f"Hook {hook} declares {quoted(item)} with the target {target!r}; "
                'targets are strings such as "package.module:Name".'
            )


def _check_containers(item: Declaration, hook: str) -> None:
    """Refuse ``overrides="a"`` for ``overrides=("a",)``, which would be read letter by letter."""
    for field_ in fields(item):
        value = getattr(item, field_.name)
        word = str(field_.type).partition("[")[0]
        expected = {"tuple": (tuple, list), "Mapping": (Mapping,)}.get(word)
        if expected is not None and not isinstance(value, expected):
            raise PluginLoadError(
                f"Hook {hook} declares {field_.name}={value!r}; it is to be a {word}."
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


def _distribution(distribution: Any) -> tuple[str, str]:
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
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be printed)"
    text = f"{type(error).__name__}: {text}".splitlines()[0][:300]
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{f.filename}:{f.lineno}" for f in frames if not f.filename.startswith("<frozen")]
    if isinstance(error, SyntaxError):
        places.append(f"{error.filename}:{error.lineno}")
    return f"{text} ({places[-1]})" if places else text


@cache
def core_version() -> str:
    """The version of the installed core; ``0+unknown`` where it runs without being installed."""
    import importlib_metadata

    try:
        return _distribution(importlib_metadata.distribution("dovetail"))[1]
    except importlib_metadata.PackageNotFoundError:
        return "0+unknown"


def canonical(name: str) -> str:
    """A distribution's or plugin's name in the one spelling of the package index."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(variable: str) -> list[str]:
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]
