"""JSON schemas of Python functions, from their type hints and Google-style docstrings."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Sequence
from textwrap import dedent
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dovetail.errors import TemplateError

PRIMITIVES: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    Any: {},
    list: {"type": "array"},
    tuple: {"type": "array"},
}
SECTION = re.compile(
    r"^[ \t]*(Args|Arguments|Returns?|Raises|Yields|Examples?|Notes?):[ \t]*$", re.MULTILINE
)
ARGUMENT = re.compile(r"^(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)", re.DOTALL)
CHOICES = re.compile(r"\(choices:\s*(.*?)\)\s*$", re.DOTALL | re.IGNORECASE)


class DocstringParsingException(TemplateError):
    """A docstring that does not say what a schema needs: a summary, and each argument."""


class TypeHintParsingException(TemplateError):
    """A type hint that is missing or has no counterpart in a JSON schema."""


def get_json_schema(func: Callable[..., Any]) -> dict[str, Any]:
    """The schema with which chat templates describe `func` to a model.

    A description that ends in ``(choices: ["a", "b"])`` becomes an enumeration. Arguments with a
    default are not required.

    Raises:
        DocstringParsingException: without a docstring, or one that leaves out an argument.
        TypeHintParsingException: for an argument without a hint, or of a type that JSON has not.

    >>> def add(a: int, b: int = 1) -> int:
    ...     '''Adds numbers.
    ...
    ...     Args:
    ...         a: The first.
    ...         b: The second.
    ...     '''
    >>> get_json_schema(add)["function"]["parameters"]["required"]
    ['a']
    """
    name = getattr(func, "__name__", repr(func))
    text = inspect.getdoc(func)
    if not text:
        raise DocstringParsingException(
            f"{name} has no docstring, from which its schema is made. Write one."
        )
    summary, arguments, returns = _parse_docstring(text)
    parameters = _parameters(func, name)
    for argument, schema in parameters["properties"].items():
        if argument not in arguments:
            raise DocstringParsingException(
                f"The docstring of {name} does not describe the argument {argument!r}. Add it "
                "below 'Args:'."
            )
        schema |= _description(arguments[argument], f"{name}, argument {argument!r}")
    schema = {"name": name, "description": summary, "parameters": parameters}
    result = parameters.pop("return", None)
    if result is not None:
        schema["return"] = result | ({"description": returns} if returns is not None else {})
    return {"type": "function", "function": schema}


def _parameters(func: Callable[..., Any], name: str) -> dict[str, Any]:
    hints = get_type_hints(func)
    properties, required = {}, []
    for argument, parameter in inspect.signature(func).parameters.items():
        if argument not in hints:
            raise TypeHintParsingException(
                f"The argument {argument!r} of {name} has no type hint. Add one."
            )
        properties[argument] = _schema(hints[argument], f"{name}, argument {argument!r}")
        if parameter.default is inspect.Parameter.empty:
            required.append(argument)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if "return" in hints:
        schema["return"] = _schema(hints["return"], f"{name}, result")
    return schema


def _schema(hint: Any, where: str) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None:
        return dict(PRIMITIVES.get(hint, {"type": "object"}))
    if origin is Union or isinstance(hint, types.UnionType):
        return _union(arguments, where)
    if origin is Literal:
        return _literal(arguments, where)
    if origin is list:
        return (
            {"type": "array", "items": _schema(arguments[0], where)}
            if arguments
            else {"type": "array"}
        )
    if origin is tuple:
        return _tuple(arguments, where)
    if origin is dict:
        return (
            {"type": "object", "additionalProperties": _schema(arguments[1], where)}
            if arguments
            else {"type": "object"}
        )
    raise TypeHintParsingException(
        f"{where}: the type {hint} has no counterpart in a JSON schema. Use int, float, str, bool, "
        "list, dict, tuple, Literal, Any, or unions of them."
    )


def _union(arguments: Sequence[Any], where: str) -> dict[str, Any]:
    schemas = [_schema(one, where) for one in arguments if one is not types.NoneType]
    if len(schemas) == 1:
        schema = schemas[0]
    elif all(
        isinstance(one.get("type"), str) for one in schemas
    ):  # details of lists and objects are left out
        schema = {"type": sorted(one["type"] for one in schemas)}
    else:
        schema = {"anyOf": schemas}
    return schema | {"nullable": True} if types.NoneType in arguments else schema


def _literal(values: Sequence[Any], where: str) -> dict[str, Any]:
    kinds = sorted({PRIMITIVES.get(type(value), {}).get("type", "") for value in values})
    if "" in kinds:
        raise TypeHintParsingException(
            f"{where}: Literal{list(values)} holds what JSON has not. Use str, int or bool."
        )
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": list(values)}


def _tuple(arguments: Sequence[Any], where: str) -> dict[str, Any]:
    if not arguments:
        return {"type": "array"}
    if len(arguments) == 1:
        raise TypeHintParsingException(
            f"{where}: a tuple of one element is hardly meant. Use list[...] for several, or the "
            "element alone."
        )
    if Ellipsis in arguments:
        raise TypeHintParsingException(
            f"{where}: a tuple of any length is no JSON type. Use list[...]."
        )
    return {"type": "array", "prefixItems": [_schema(one, where) for one in arguments]}


def _parse_docstring(text: str) -> tuple[str, dict[str, str], str | None]:
    """Summary, arguments' descriptions, and the description of the result (None without one)."""
    head, *sections = SECTION.split(text)
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    arguments = found.get("Args") or found.get("Arguments") or ""
    returns = found.get("Returns") or found.get("Return")
    return head.strip(), _arguments(arguments), None if returns is None else returns.strip()


def _arguments(section: str) -> dict[str, str]:
    """Names and descriptions; deeper lines go on with the argument above them."""
    entries: list[list[str]] = []
    for line in dedent(section.strip("\n")).splitlines():
        if line[:1].isspace() and entries:
            entries[-1].append(line.strip())
        elif line.strip():
            entries.append([line.strip()])
    matches = [ARGUMENT.match(" ".join(filter(None, entry))) for entry in entries]
    return {match[1].lstrip("*"): match[2].strip() for match in matches if match}


def _description(text: str, where: str) -> dict[str, Any]:
    choices = CHOICES.search(text)
    if choices is None:
        return {"description": text}
    try:
        values = json.loads(choices[1])
    except ValueError as failure:
        raise DocstringParsingException(
            f"{where}: (choices: {choices[1]}) is no JSON list: {failure}. "
            'Write (choices: ["a", "b"]).'
        ) from failure
    return {"enum": values, "description": text[: choices.start()].strip()}
