"""Typed declarations: from a class's annotations to its fields, arguments and aliases."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, get_origin, get_type_hints

from dovetail import config_fields
from dovetail.config_fields import fit
from dovetail.errors import ConfigError
from dovetail.logging import get_logger

logger = get_logger(__name__)

RESERVED = frozenset(
    {
        "model_type",
        "base_config_key",
        "sub_configs",
        "is_composition",
        "has_no_defaults_at_init",
        "argument_moves",
        "argument_names",
        "attribute_map",
        "keys_to_ignore_at_inference",
        "_auto_class",
        "_constructor",
        "_aliases",
        "_fields",
        "_positional",
    }
)
"""What belongs to the class: no field, and never believed when a file names it."""

DEFAULTS = {"num_labels": "default_num_labels"}
"""Arguments that are no fields, and what holds their defaults."""


class Alias:
    """Another name of a field, on classes and instances."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __get__(self, config: Any, owner: type) -> Any:
        return getattr(owner if config is None else config, self.field)

    def __set__(self, config: Any, value: Any) -> None:
        setattr(config, self.field, value)


class Declared:
    """A class whose annotated attributes with a default are fields, checked whenever they are set.

    Fields keep the order of their first declaration, as dataclasses do. A subclass changes a
    default by annotating the field anew or by assigning the bare name. `argument_moves` says where
    positional arguments have another order: ``{name: the one it follows}``, None for by name only;
    `argument_names` which fields the signature calls by an alias: ``{field: alias}``.
    """

    attribute_map: ClassVar[Mapping[str, str]] = {}
    argument_moves: ClassVar[Mapping[str, str | None]] = {}
    argument_names: ClassVar[Mapping[str, str]] = {}
    _aliases: ClassVar[Mapping[str, str]] = {}
    _fields: ClassVar[Mapping[str, Any]]
    _positional: ClassVar[tuple[str, ...]] = ()
    _constructor: ClassVar[Any] = None
    __signature__: ClassVar[inspect.Signature | None]

    def __init_subclass__(cls, *, keywords_only: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [
            name
            for name, annotation in inspect.get_annotations(cls).items()
            if cls._is_field(name) and "ClassVar" not in str(annotation)
        ]
        if not keywords_only:
            names = dict.fromkeys((*cls._positional, *own))
            cls._positional = _moved(names, cls.__dict__.get("argument_moves", {}))
        cls._aliases = {
            alias: field for alias, field in cls.attribute_map.items() if alias not in own
        }
        for alias, field in cls._aliases.items():
            setattr(cls, alias, Alias(field))
        if keywords_only:
            cls._constructor = cls.__init__
        else:
            cls.__signature__ = cls._signature() if cls.__init__ is cls._constructor else None

    @classmethod
    def _is_field(cls, name: str) -> bool:
        return name not in RESERVED and hasattr(cls, name)

    @classmethod
    def _field_types(cls) -> Mapping[str, Any]:
        """Every field's name and annotation; resolved on first use, so that declaring is cheap."""
        if "_fields" not in cls.__dict__:
            hints = _resolved(cls)
            cls._fields = {
                name: hint
                for name, hint in hints.items()
                if name not in cls._aliases and cls._is_field(name) and not _is_constant(hint)
            }
        return cls._fields

    @classmethod
    def _known(cls) -> AbstractSet[str]:
        return cls._field_types().keys() | cls._aliases.keys()

    @classmethod
    def _default(cls, name: str) -> Any:
        value = getattr(cls, name)
        return copy.deepcopy(value) if isinstance(value, list | dict | set) else value

    @classmethod
    def _signature(cls) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        named = [
            inspect.Parameter(
                cls.argument_names.get(name, name),
                kind,
                default=getattr(cls, DEFAULTS.get(name, name)),
            )
            for name in cls._positional
        ]
        return inspect.Signature(
            [*named, inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)]
        )

    @classmethod
    def _by_name(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Constructor arguments as one mapping."""
        if len(args) > len(cls._positional):
            raise TypeError(
                f"{cls.__name__} takes at most {len(cls._positional)} positional arguments, "
                f"{len(args)} were given."
            )
        positional = dict(zip(cls._positional, args, strict=False))
        twice = sorted(positional.keys() & kwargs.keys())
        if twice:
            raise TypeError(f"{cls.__name__} got two values for {twice[0]!r}; give one.")
        values = positional | dict(kwargs)
        for alias in cls._aliases.keys() & values.keys():
            cls._rename(values, alias, cls._aliases[alias])
        return values

    @classmethod
    def _rename(cls, values: dict[str, Any], alias: str, field: str) -> None:
        value = values.pop(alias)
        if values.get(field, value) != value:
            logger.warning(
                "%s: %r and %r are one setting and are given two values, %.80r and %.80r; "
                "the former is taken.",
                cls.__name__,
                alias,
                field,
                value,
                values[field],
            )
        values[field] = value

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self._field_types()
        if name in fields:
            value = fit(value, fields[name], owner=type(self).__name__, key=name)
        object.__setattr__(self, name, value)


def _resolved(cls: type) -> dict[str, Any]:
    """The annotations of `cls` as types; the ranged types are known even where not imported."""
    try:
        return get_type_hints(cls, include_extras=True)
    except NameError:
        pass
    try:
        return get_type_hints(cls, localns=vars(config_fields), include_extras=True)
    except NameError as failure:
        raise ConfigError(
            f"{cls.__name__} cannot be used: its annotations name {failure.name!r}, which the "
            f"module {cls.__module__} does not define. Import it there, not only for type checkers."
        ) from failure


def _moved(names: Iterable[str], moves: Mapping[str, str | None]) -> tuple[str, ...]:
    """`names` in the order that `moves` asks for."""
    order = [name for name in names if name not in moves]
    for name, previous in moves.items():
        if previous is not None:
            order.insert(order.index(previous) + 1, name)
    return tuple(order)


def _is_constant(hint: Any) -> bool:
    return hint is ClassVar or get_origin(hint) is ClassVar
