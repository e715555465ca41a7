"""From a config to a class: the declarations of all plugins, seen as the field's mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dovetail import plugins, registry
from dovetail.configs import PretrainedConfig
from dovetail.declarations import ModelDeclaration, Target
from dovetail.errors import ConfigError, PluginConflictError

_registered: dict[str, dict[type, Any]] = {}
"""Slot (an auto class, or a field of the declaration) to what was registered by call, by config."""


def register(slot: str, config_class: type, value: Any, *, exist_ok: bool = False) -> None:
    """Let `slot` pick `value` for configs of `config_class`, in this process.

    Raises:
        PluginConflictError: something is picked already and `exist_ok` is False.
    """
    if not exist_ok and _own_pick(slot, config_class) is not None:
        raise PluginConflictError(
            f"{slot} already has a class for {config_class.__name__}. "
            "Pass exist_ok=True to replace it in this process."
        )
    _registered.setdefault(slot, {})[config_class] = value


def pick(slot: str, config_class: type) -> Any | None:
    """The class that `slot` holds for a config class or the nearest of its parents, else None."""
    for parent in config_class.__mro__:
        if issubclass(parent, PretrainedConfig) and (found := _own_pick(slot, parent)) is not None:
            return found
    return None


def _own_pick(slot: str, config_class: type) -> Any | None:
    found = _registered.get(slot, {}).get(config_class)
    model_type = vars(config_class).get("model_type")
    if found is not None or not model_type or model_type not in registry.models():
        return found
    declaration = registry.models().get(model_type)
    # A repository's own config class may use a known model type; ours is not for it.
    if _name(declaration.config) != config_class.__name__:
        return None
    target = target_of(declaration, slot)
    return None if target is None else registry.resolve(target)


def target_of(declaration: ModelDeclaration, slot: str) -> Target | None:
    """What a declaration says of a slot."""
    if slot.startswith("Auto"):
        return declaration.auto.get(slot)
    return getattr(declaration, slot)


def named(slots: tuple[str, ...], name: str) -> Any | None:
    """The class called `name` that some declaration holds in one of `slots` (or as an alias).

    Names in files are looked up here only, so that a file can choose among declared classes and
    nothing else.
    """
    for slot in slots:
        for value in _registered.get(slot, {}).values():
            found = next((v for v in _several(value) if getattr(v, "__name__", "") == name), None)
            if found is not None:
                return found
    for declaration in registry.models().declarations():
        targets = [target_of(declaration, slot) for slot in slots]
        target = next((t for t in targets if t and str(t).rpartition(":")[2] == name), None)
        if target is None and any(targets):
            target = declaration.aliases.get(name)
        if target is not None:
            return registry.resolve(target)
    return None


def exported(name: str, ending: str) -> Any | None:
    """The class called `name` among the public names of the plugins, for what belongs to no
    architecture; a name without the `ending` imports nothing."""
    claims = plugins.manager().exports().get(name)
    if not claims or not name.endswith(ending):
        return None
    return registry.resolve(str(plugins.manager().settle(name, claims).value))


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def choices(slot: str) -> list[str]:
    """The model types for which `slot` picks something."""
    declared = registry.models().declarations()
    return [d.model_type for d in declared if target_of(d, slot) is not None]


class ConfigMapping(Mapping[str, type[PretrainedConfig]]):
    """Model type to config class; a class is imported when it is asked for."""

    def __getitem__(self, model_type: str) -> type[PretrainedConfig]:
        if model_type not in registry.models():
            raise KeyError(model_type)
        return registry.models().load(model_type)

    def __contains__(self, model_type: object) -> bool:
        return model_type in registry.models()

    def __iter__(self) -> Iterator[str]:
        return iter(registry.models().names())

    def __len__(self) -> int:
        return len(registry.models().names())

    def register(self, key: str, value: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Add a model type in this process."""
        registry.models().add(ModelDeclaration(key, value), exist_ok=exist_ok)  # type: ignore[arg-type]


class ConfigNames(Mapping[str, str]):
    """Model type to the name of its config class, importing nothing."""

    def __getitem__(self, model_type: str) -> str:
        if model_type not in registry.models():
            raise KeyError(model_type)
        return _name(registry.models().get(model_type).config)

    def __iter__(self) -> Iterator[str]:
        return iter(registry.models().names())

    def __len__(self) -> int:
        return len(registry.models().names())


class ModelNames(ConfigNames):
    """Model type to a readable name of the architecture."""

    def __getitem__(self, model_type: str) -> str:
        return super().__getitem__(model_type).removesuffix("Config")


class ClassMapping(Mapping[type, Any]):
    """Config class to what a slot picks for it; nothing is imported before it is asked for."""

    def __init__(self, slot: str) -> None:
        self.slot = slot

    def __getitem__(self, config_class: type) -> Any:
        found = self._found(config_class)
        if found is None:
            raise KeyError(config_class)
        return found

    def _found(self, config_class: type) -> Any | None:
        return _own_pick(self.slot, config_class)

    def __contains__(self, config_class: object) -> bool:
        return isinstance(config_class, type) and self._found(config_class) is not None

    def __iter__(self) -> Iterator[type]:
        configs = [registry.models().load(model_type) for model_type in choices(self.slot)]
        return iter(dict.fromkeys([*configs, *_registered.get(self.slot, {})]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def register(self, key: type, value: Any, exist_ok: bool = False) -> None:
        """Add a class for a config class in this process."""
        register(self.slot, key, value, exist_ok=exist_ok)


class PairMapping(ClassMapping):
    """Config class to a pair of classes, as the field's mappings of slow and fast ones are.

    `twice` says what stands in the second place: the one class again (tokenizers), or None.
    """

    def __init__(self, slot: str, *, twice: bool) -> None:
        super().__init__(slot)
        self.twice = twice

    def _found(self, config_class: type) -> Any | None:
        found = super()._found(config_class)
        if found is None or isinstance(found, tuple):
            return found
        return (found, found if self.twice else None)


class ClassNames(Mapping[str, str]):
    """Model type to the name of the class that a slot picks, importing nothing."""

    def __init__(self, slot: str) -> None:
        self.slot = slot

    def __getitem__(self, model_type: str) -> str:
        if model_type not in registry.models():
            raise KeyError(model_type)
        target = target_of(registry.models().get(model_type), self.slot)
        if target is None:
            raise KeyError(model_type)
        return _name(target)

    def __iter__(self) -> Iterator[str]:
        return iter(choices(self.slot))

    def __len__(self) -> int:
        return len(choices(self.slot))


def _name(target: Any) -> str:
    return getattr(target, "__name__", None) or str(target).rpartition(":")[2]


def unfit(slot: str, config: Any) -> ConfigError:
    """The error for a config that `slot` has no class for; it lists what there is."""
    model_type = getattr(config, "model_type", "")
    known = registry.models()
    heads = sorted(known.get(model_type).auto) if model_type in known else []
    does = f"It has {', '.join(heads)}." if heads else ""
    types = choices(slot)
    listed = ", ".join(types[:12]) + (", ..." if len(types) > 12 else "")
    return ConfigError(
        f"{slot} has no class for {type(config).__name__} (model type {model_type!r}). {does} "
        f"{slot} serves: {listed or 'no installed model type'}."
    )
