"""Command lines for dataclasses: each field becomes an option, each class an object of the result.

A field's annotation says what its option takes, its default what holds without it, and its metadata
what the help says (``field(metadata={"help": ..., "aliases": ["-x"]})``).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import types
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

TRUE, FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")


def parse_flag(value: str | bool) -> bool:
    """What a word such as ``yes``, ``true``, ``no`` or ``0`` says."""
    word = str(value).lower()
    if word not in (*TRUE, *FALSE):
        raise ArgumentTypeError(
            f"{value!r} says neither yes nor no: write one of {', '.join((*TRUE, *FALSE))}"
        )
    return word in TRUE


def parse_choice(choices: Iterable[Any]) -> Callable[[str], Any]:
    """A function from the text of one of `choices` to that choice; other text stays as it is."""
    named = {str(choice): choice for choice in choices}
    return lambda text: named.get(text, text)


class HfArgumentParser(ArgumentParser):
    """An argument parser whose options are the fields of dataclasses.

    Names may be written with dashes for underscores. A boolean that is on by default has a second
    option ``--no_name``, which turns it off.
    """

    def __init__(self, dataclass_types: type | Iterable[type], **kwargs: Any) -> None:
        super().__init__(**{"formatter_class": ArgumentDefaultsHelpFormatter} | kwargs)
        one = dataclasses.is_dataclass(dataclass_types)
        self.dataclass_types: list[Any] = [dataclass_types] if one else list(dataclass_types)  # type: ignore[arg-type]
        for kind in self.dataclass_types:
            self._add_fields(kind)

    def _add_fields(self, kind: Any) -> None:
        group = getattr(kind, "_argument_group_name", None)
        target = self if group is None else self.add_argument_group(group)
        try:
            hints = get_type_hints(kind)
        except NameError as error:
            raise TypeError(
                f"{kind.__name__}: an annotation cannot be resolved ({error}). "
                "Define the dataclass at the top of a module, with all its types imported."
            ) from error
        for field in dataclasses.fields(kind):
            if field.init:
                _add_field(target, field, hints[field.name])

    def parse_args_into_dataclasses(
        self,
        args: Sequence[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | os.PathLike[str] | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[Any, ...]:
        """One object for each dataclass, then a namespace if there are options besides, then, with
        `return_remaining_strings`, the arguments that nobody knows.

        Further arguments come first, so that `args` (those of the command line) win: from
        `args_filename`, from the files that the option `args_file_flag` names, else from the file
        beside the program with the ending ``.args``, unless `look_for_args_file` is off.

        Raises:
            ValueError: there are unknown arguments, which are not to be returned.
        """
        given = list(sys.argv[1:] if args is None else args)
        if args_file_flag is not None:
            finder = ArgumentParser(add_help=False)
            finder.add_argument(args_file_flag, dest="files", action="append", default=[])
            found, given = finder.parse_known_args(given)
            files = [Path(name) for name in found.files]
        elif args_filename is not None:
            files = [Path(args_filename)]
        else:
            files = [Path(sys.argv[0]).with_suffix(".args")] if look_for_args_file else []
        earlier = [word for file in files if file.is_file() for word in file.read_text().split()]
        namespace, rest = self.parse_known_args([*earlier, *given])
        objects = self._objects(namespace)
        if vars(namespace):
            objects.append(namespace)
        if return_remaining_strings:
            return (*objects, rest)
        if rest:
            raise ValueError(f"unknown arguments: {rest}. `--help` lists those there are.")
        return tuple(objects)

    def _objects(self, namespace: Namespace) -> list[Any]:
        """The dataclasses filled from `namespace`, which keeps what is not theirs."""
        objects = []
        for kind in self.dataclass_types:
            names = [field.name for field in dataclasses.fields(kind) if field.init]
            objects.append(kind(**{name: getattr(namespace, name) for name in names}))
        for name in {field.name for kind in self.dataclass_types for field in _fields(kind)}:
            delattr(namespace, name)
        return objects

    def parse_dict(
        self, args: Mapping[str, Any], allow_extra_keys: bool = False
    ) -> tuple[Any, ...]:
        """One object for each dataclass, of the values in `args`.

        Raises:
            ValueError: a key belongs to none of them, and `allow_extra_keys` is off.
        """
        names = [{field.name for field in _fields(kind)} for kind in self.dataclass_types]
        if not allow_extra_keys and (unknown := sorted(args.keys() - set().union(*names))):
            raise ValueError(
                f"unknown keys: {unknown}. Known: {', '.join(sorted(set().union(*names)))}."
            )
        return tuple(
            kind(**{name: args[name] for name in args if name in own})
            for kind, own in zip(self.dataclass_types, names, strict=True)
        )

    def parse_json_file(
        self, json_file: str | os.PathLike[str], allow_extra_keys: bool = False
    ) -> tuple[Any, ...]:
        """`parse_dict` of the object in a JSON file."""
        content = json.loads(Path(json_file).read_text(encoding="utf-8"))
        return self.parse_dict(content, allow_extra_keys)

    def parse_yaml_file(
        self, yaml_file: str | os.PathLike[str], allow_extra_keys: bool = False
    ) -> tuple[Any, ...]:
        """`parse_dict` of the mapping in a YAML file; needs the package ``pyyaml``."""
        import yaml  # type: ignore[import-untyped] # comes with huggingface_hub

        content = yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8"))
        return self.parse_dict(content, allow_extra_keys)


def _fields(kind: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _add_field(target: Any, field: dataclasses.Field[Any], hint: Any) -> None:
    metadata = dict(field.metadata)
    names = [f"--{field.name}"]
    if "_" in field.name:
        names.append(f"--{field.name.replace('_', '-')}")
    aliases = metadata.pop("aliases", [])
    names += [aliases] if isinstance(aliases, str) else aliases
    kind, is_optional = _without_none(field.name, hint)
    options: dict[str, Any] = {"help": metadata.get("help"), "dest": field.name}
    if field.default_factory is not dataclasses.MISSING:
        options["default"] = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        options["default"] = field.default
    else:
        options["required"] = kind is not bool
    if kind is bool:
        _add_flag(target, names, options, is_optional)
    else:
        target.add_argument(*names, **options | _taking(kind))


def _without_none(name: str, hint: Any) -> tuple[Any, bool]:
    """The type of `hint` when it may be None besides, and whether it may; of a type and text, the
    type."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(kinds) > 1:
        kinds = [kind for kind in kinds if kind is not str]
    if len(kinds) != 1:
        raise ValueError(
            f"{name}: {hint} is more than one type, and an option's text has one: leave one of "
            "them, besides None or str"
        )
    return kinds[0], type(None) in get_args(hint)


def _taking(kind: Any) -> dict[str, Any]:
    """How argparse is to read values of a type."""
    if get_origin(kind) is Literal:
        return {"type": parse_choice(get_args(kind)), "choices": get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        values = [member.value for member in kind]
        return {"type": parse_choice(values), "choices": values}
    if get_origin(kind) is list:
        return {"type": get_args(kind)[0], "nargs": "+"}
    return {"type": get_origin(kind) or kind}


def _add_flag(target: Any, names: list[str], options: dict[str, Any], is_optional: bool) -> None:
    if is_optional and options.get("default") is None:
        target.add_argument(*names, **options, type=parse_flag)
        return
    options = {"default": False} | options
    target.add_argument(*names, **options, type=parse_flag, nargs="?", const=True)
    if options["default"] is True:
        name = options["dest"]
        off = dict.fromkeys((f"--no_{name}", f"--no-{name.replace('_', '-')}"))
        target.add_argument(*off, dest=name, action="store_false", help=options["help"])
