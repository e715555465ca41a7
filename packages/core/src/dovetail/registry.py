"""Registries: from a name (model type, task, method ...) to its declaration, and on to the object.

>>> from dovetail import registry
>>> registry.attentions().get("sdpa").function
'dovetail.layers.attention:sdpa_attention'
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Generic, TypeVar, cast

from dovetail import plugins
from dovetail.declarations import (
    AttentionDeclaration,
    CacheDeclaration,
    CallbackDeclaration,
    CheckDeclaration,
    CommandDeclaration,
    ConverterDeclaration,
    Declaration,
    EngineDeclaration,
    ModelDeclaration,
    PipelineDeclaration,
    QuantizerDeclaration,
    StrategyDeclaration,
    Target,
    ToolDeclaration,
)
from dovetail.errors import (
    DovetailError,
    MissingPluginError,
    PluginConflictError,
    PluginLoadError,
    UnknownNameError,
    near_matches,
    quoted,
)
from dovetail.names import core_modules, known_names, known_owner
from dovetail.plugins import Claim, Plugin, Verdict

D = TypeVar("D", bound=Declaration)

PUBLIC = "public name"
"""The kind of the names that ``from dovetail import ...`` finds."""

HERE = Plugin("in-process", "this process", "", "")
"""Stands for additions made by a call rather than by a plugin."""


def resolve(target: Target | object) -> Any:
    """Import ``"package.module:Name"`` (`Name` may have dots) and return the object.

    Anything but a string stands for itself: in-process additions hold the object.

    Raises:
        PluginLoadError: the module cannot be imported or has no such name; the cause is chained.
    """
    if not isinstance(target, str):
        return target
    module_name, _, path = target.partition(":")
    if not path:
        raise PluginLoadError(f'{target!r} is no target; write "package.module:Name".')
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise PluginLoadError(_import_failure(target, error)) from error
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise PluginLoadError(
            f"{target!r} cannot be loaded: module {module_name!r} has no {path!r}."
            f"{near_matches(path, vars(module))}"
        ) from error


def _import_failure(target: str, error: Exception) -> str:
    module = target.partition(":")[0]
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and missing != module and not module.startswith(f"{missing}."):
        return f"{target!r} needs the package {missing!r}, which is not installed."
    return f"{target!r} cannot be loaded: {type(error).__name__}: {error}"


class Registry(Generic[D]):
    """The declarations of one kind, by name.

    `label` is the word for a name in messages (``"model type"``), `known` the kind under which the
    core knows names of packages that are not installed, `target` the field that `load` imports.
    """

    def __init__(self, kind: type[D], label: str, target: str, known: str = "") -> None:
        self.kind = kind
        self.label = label
        self.target = target
        self._known = known
        self._added: dict[str, D] = {}
        self._seen: tuple[plugins.Discovery, dict[str, list[Claim]]] | None = None

    def get(self, name: str) -> D:
        """The declaration that holds `name`.

        Raises:
            UnknownNameError: nobody has such a name; the message lists near matches.
            MissingPluginError: it belongs to a package that is not installed.
            PluginConflictError: several plugins claim it and nothing says which one is to win.
        """
        if not isinstance(name, str):
            raise UnknownNameError(f"A {self.label} is a string, not {quoted(name)}.")
        if name in self._added:
            return self._added[name]
        claims = self._claims().get(name)
        if claims is None:
            raise self._absent(name)
        return cast(D, plugins.manager().settle(name, claims).declaration)

    def load(self, name: str) -> Any:
        """The object that the declaration of `name` points to: the class, function or command.

        Raises:
            PluginLoadError: the plugin that declares it could not be imported.
        """
        target = getattr(self.get(name), self.target)
        try:
            return resolve(target)
        except PluginLoadError as error:
            raise blame(error, self.providers(name)[0]) from error.__cause__

    def names(self) -> list[str]:
        """All names, sorted; contested ones and aliases included."""
        return sorted({*self._added, *self._claims()})

    def declarations(self) -> list[D]:
        """Each declaration that holds its name, once, sorted by it. Contested ones are left out."""
        held = {}
        for name in self.names():
            try:
                declaration = self.get(name)
            except PluginConflictError:
                continue
            held[declaration.keys] = declaration
        return list(held.values())

    def providers(self, name: str) -> tuple[Plugin, ...]:
        """Who claims `name`, the holder first."""
        verdict = self.verdict(name)
        if verdict is None:
            return ()
        first = () if verdict.holder is None else (verdict.holder,)
        return tuple(c.plugin for c in (*first, *(c for c in verdict.rivals if c not in first)))

    def verdict(self, name: str) -> Verdict | None:
        """Who holds `name`, why, and who else claims it; None for a name nobody has."""
        claims = tuple(self._claims().get(name, ()))
        added = self._added.get(name)
        if added is not None:
            own = Claim(HERE, added, added)
            return Verdict(own, "registered by a call in this process", (own, *claims))
        return plugins.manager().judge(name, claims) if claims else None

    def add(self, item: D | object, *, name: str | None = None, exist_ok: bool = False) -> None:
        """Register something in this process, ahead of any plugin.

        `item` is a declaration, whose targets may here be the objects themselves, or with `name`
        the bare object (a function, a class).

        Raises:
            PluginConflictError: the name is taken and `exist_ok` is False.
        """
        declaration = item if isinstance(item, self.kind) else self._wrap(item, name)
        for key in declaration.keys:
            if not exist_ok and key in self:
                holders = ", ".join(map(str, self.providers(key)))
                raise PluginConflictError(
                    f"The {self.label} {key!r} is already provided by {holders}. "
                    "Pass exist_ok=True to replace it in this process."
                )
        self._added.update(dict.fromkeys(declaration.keys, declaration))

    def remove(self, name: str) -> None:
        """Take back what `add` registered under `name`, aliases included."""
        if name not in self._added:
            raise UnknownNameError(f"The {self.label} {name!r} was not added in this process.")
        for key in self._added[name].keys:
            self._added.pop(key, None)

    def __contains__(self, name: object) -> bool:
        return name in self._added or name in self._claims()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _claims(self) -> dict[str, list[Claim]]:
        discovery = plugins.manager().discovery
        if self._seen is None or self._seen[0] is not discovery:
            self._seen = (discovery, discovery.claims(self.kind))
        return self._seen[1]

    def _wrap(self, item: object, name: str | None) -> D:
        if name is None:
            raise TypeError(f"Pass a {self.kind.__name__}, or an object together with name=...")
        make: Any = self.kind
        return cast(D, make(name, item))

    def _absent(self, name: str) -> DovetailError:
        missing = absence(self._known, name, f"The {self.label} {quoted(name)}")
        if missing is not None:
            return missing
        near = near_matches(name, {*self.names(), *known_names(self._known)})
        tail = near or " `dovetail plugins` lists what is installed."
        unused = plugins.manager().discovery.unused
        return UnknownNameError(f"There is no {self.label} {quoted(name)}.{tail}{unused}")


def absence(known: str, name: str, subject: str) -> MissingPluginError | None:
    """The error for a name that an official package holds, though it does not provide it here."""
    owner = known_owner(known, name)
    if owner is None:
        return None
    plugin = next((p for p in plugins.manager().plugins if p.answers_to(owner.distribution)), None)
    if plugin is None:
        return MissingPluginError(
            f"{subject} belongs to the package {owner.distribution!r}, which is not installed. "
            f"Install it with: {owner.install}"
        )
    if plugin.status != "active":
        state = "failed to load" if plugin.status == "failed" else "is disabled"
        return MissingPluginError(
            f"{subject} belongs to {plugin}, which is installed but {state}: {plugin.reason}"
        )
    return MissingPluginError(
        f"{subject} belongs to {owner.distribution!r}, but the installed version {plugin.version} "
        f"does not have it. Update with: {owner.install.replace('install', 'install --upgrade', 1)}"
    )


def blame(error: PluginLoadError, plugin: Plugin) -> PluginLoadError:
    """The same error with the plugin that declared the target named in it."""
    return PluginLoadError(f"{error} It is declared by {plugin}.")


_MODELS = Registry(ModelDeclaration, "model type", "config", "model")
_PIPELINES = Registry(PipelineDeclaration, "task", "pipeline", "pipeline")
_QUANTIZERS = Registry(QuantizerDeclaration, "quantization method", "quantizer", "quantizer")
_ATTENTIONS = Registry(AttentionDeclaration, "attention implementation", "function")
_STRATEGIES = Registry(StrategyDeclaration, "generation strategy", "strategy")
_CACHES = Registry(CacheDeclaration, "cache implementation", "build")
_CHECKS = Registry(CheckDeclaration, "check of dovetail doctor", "check")
_TOOLS = Registry(ToolDeclaration, "tool", "tool")
_ENGINES = Registry(EngineDeclaration, "engine", "engine")
_COMMANDS = Registry(CommandDeclaration, "command", "command")
_CALLBACKS = Registry(CallbackDeclaration, "training callback", "callback")
_CONVERTERS = Registry(ConverterDeclaration, "checkpoint converter", "converter")
_ALL: tuple[Registry[Any], ...] = (
    _MODELS,
    _PIPELINES,
    _QUANTIZERS,
    _ATTENTIONS,
    _STRATEGIES,
    _CACHES,
    _CHECKS,
    _TOOLS,
    _ENGINES,
    _COMMANDS,
    _CALLBACKS,
    _CONVERTERS,
)


def models() -> Registry[ModelDeclaration]:
    """Architectures by model type; `load` gives the config class."""
    return _MODELS


def pipelines() -> Registry[PipelineDeclaration]:
    """Pipelines by task and its aliases."""
    return _PIPELINES


def quantizers() -> Registry[QuantizerDeclaration]:
    """Quantizers by method."""
    return _QUANTIZERS


def attentions() -> Registry[AttentionDeclaration]:
    """Attention functions by implementation name."""
    return _ATTENTIONS


def strategies() -> Registry[StrategyDeclaration]:
    """Generation strategies by name."""
    return _STRATEGIES


def caches() -> Registry[CacheDeclaration]:
    """Makers of caches by ``cache_implementation``."""
    return _CACHES


def checks() -> Registry[CheckDeclaration]:
    """What ``dovetail doctor`` looks at, by title."""
    return _CHECKS


def tools() -> Registry[ToolDeclaration]:
    """Agents' tools by name."""
    return _TOOLS


def engines() -> Registry[EngineDeclaration]:
    """Agents' engines by name."""
    return _ENGINES


def commands() -> Registry[CommandDeclaration]:
    """Subcommands of the ``dovetail`` program by name."""
    return _COMMANDS


def callbacks() -> Registry[CallbackDeclaration]:
    """Training callbacks by name."""
    return _CALLBACKS


def converters() -> Registry[ConverterDeclaration]:
    """Checkpoint converters by ``"model_type/layout"``."""
    return _CONVERTERS


def all_registries() -> tuple[Registry[Any], ...]:
    """Every registry."""
    return _ALL


def target_of(claim: Claim) -> str:
    """Where the object of a claim lives; for a declaration, the target that `load` imports."""
    if claim.value is not claim.declaration:
        return str(claim.value)
    field = next(item.target for item in _ALL if isinstance(claim.value, item.kind))
    return str(getattr(claim.value, field))


def provided_by(plugin: Plugin) -> dict[str, list[str]]:
    """What a plugin declares: kind of name to the names, sorted; kinds without any are left out."""
    host = plugins.manager()
    tables = {item.label: host.claims(item.kind) for item in _ALL} | {PUBLIC: host.exports()}
    mine = {
        label: sorted(
            name for name, claims in table.items() if plugin in (c.plugin for c in claims)
        )
        for label, table in tables.items()
    }
    return {label: names for label, names in mine.items() if names}


@dataclass(frozen=True)
class Provision:
    """One meaning of a name: its kind (``"model type"``, ``"public name"``) and who holds it."""

    kind: str
    verdict: Verdict


def why(name: str) -> list[Provision]:
    """Every meaning of `name`, who provides it, who else claims it; empty for an unknown name."""
    found = [Provision(r.label, verdict) for r in _ALL if (verdict := r.verdict(name))]
    claims = tuple(plugins.manager().exports().get(name, ()))
    if name in core_modules():
        core = plugins.manager().plugins[0]
        own = Claim(core, Declaration(), f"{core_modules()[name]}:{name}")
        verdict = Verdict(own, "names of the core win", (own, *claims))
        found.append(Provision(PUBLIC, verdict))
    elif claims:
        found.append(Provision(PUBLIC, plugins.manager().judge(name, claims)))
    return found
