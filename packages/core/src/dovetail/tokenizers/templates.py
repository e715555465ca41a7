"""Rendering chat templates: Jinja in an immutable sandbox, bounded in time and size, able to mark
what the assistant said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

from jinja2 import Template, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from dovetail.errors import TemplateError
from dovetail.tokenizers import metering
from dovetail.tokenizers.metering import METER, Meter

MAX_TEMPLATE = 2**16
"""Characters of a template; real ones have thousands, and compiling this many takes a second."""
UNBOUNDED_FILTERS = ("attr", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr")
"""Filters of Jinja that chat templates have no use for and whose cost no budget foresees."""

SIZED_FILTERS = ("batch", "center", "indent", "round", "slice", "tojson", "truncate")
"""Filters to which numbers are widths or counts."""


class ChatTemplateError(TemplateError, JinjaError):
    """A chat template that is invalid, refuses its messages, or does what none may; also Jinja's
    own kind."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def render(template: str, context: Mapping[str, Any]) -> tuple[str, list[tuple[int, int]]]:
    """Render `template` with `context`.

    Returns:
        the text, and the ranges of characters within ``{% generation %}`` blocks.

    Raises:
        ChatTemplateError: when the template is invalid, fails, calls `raise_exception`, leaves the
        sandbox or spends its budget.
    """
    try:
        compiled = _compile(template)
        meter = Meter(context)
        token = METER.set(meter)
        try:
            chunks = []
            for chunk in compiled.generate(**context):
                meter.emit(chunk)
                chunks.append(chunk)
        finally:
            METER.reset(token)
    except ChatTemplateError:
        raise
    except (TemplateError, JinjaError) as failure:
        raise ChatTemplateError(_explain(failure)) from failure
    except RecursionError as failure:
        raise ChatTemplateError(
            "The chat template nests too deeply, or calls itself without end. Use another template."
        ) from failure
    except Exception as failure:
        raise ChatTemplateError(
            f"The chat template fails on these messages: {type(failure).__name__}: {failure}. "
            "Check that messages, tools and documents have the form that the template expects."
        ) from failure
    return "".join(chunks), meter.generated


def _explain(failure: Exception) -> str:
    line = getattr(failure, "lineno", None)
    where = f" (line {line} of the template)" if line else ""
    return f"{failure}{where}"


@lru_cache(maxsize=64)
def _compile(template: str) -> Template:
    if len(template) > MAX_TEMPLATE:
        raise ChatTemplateError(
            f"The chat template has {len(template)} characters; {MAX_TEMPLATE} are allowed."
        )
    try:
        return ENVIRONMENT.from_string(template)
    except (SyntaxError, MemoryError) as failure:  # nested beyond what Python compiles
        raise ChatTemplateError(
            f"The chat template cannot be compiled: {failure}. Use another template."
        ) from failure


class _MeteredGenerator(CodeGenerator):
    """Makes every container, loop and piece of output pass the meter."""

    def _wrapped(
        self, function: str, node: nodes.Expr, frame: Frame, visit: Callable[..., None]
    ) -> None:
        self.write(f"environment.{function}(")
        visit(node, frame)
        self.write(")")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._wrapped("keep", node, frame, super().visit_List)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._wrapped("keep", node, frame, super().visit_Dict)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        if node.ctx != "load":  # the target of an assignment
            super().visit_Tuple(node, frame)
        else:
            self._wrapped("keep", node, frame, super().visit_Tuple)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        call = nodes.EnvironmentAttribute("each", lineno=node.lineno)
        node.iter = nodes.Call(call, [node.iter], [], None, None, lineno=node.iter.lineno)
        super().visit_For(node, frame)

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        raise nodes.Impossible  # constants pass `finalize` too


class _Generation(Extension):
    """``{% generation %}...{% endgeneration %}``: what the assistant said."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's interface

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("mark"), [], [], body).set_lineno(line)

    def mark(self, caller: Callable[[], str]) -> str:
        """Render the block and note where in the output it stands."""
        meter = METER.get()
        text = caller()
        meter.generated.append((meter.emitted, meter.emitted + len(text)))
        return text


class _Namespace(Namespace):
    """Jinja's namespace, which may hold itself: it prints as its name."""

    def __repr__(self) -> str:
        return "<namespace>"


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _MeteredGenerator
    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "**", "%"))

    def keep(self, value: Any) -> Any:
        return METER.get().keep(value)

    def each(self, values: Any) -> Any:
        """`values` for a loop, each step of which is charged."""
        if hasattr(values, "__len__"):
            return _Metered(values)
        return _metered(iter(values))

    def concatenated(self, parts: tuple[Any, ...]) -> str:
        meter = METER.get()
        meter.allow(sum(meter.weigh(part) for part in parts))
        return self.keep("".join(map(str, parts)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        metering.check_binary(operator, left, right)
        return METER.get().keep(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        METER.get().tick()
        metering.check_method(obj, args, kwargs)
        return METER.get().keep(super().call(context, obj, *args, **kwargs))


class _Metered:
    """A sequence whose iteration is charged step by step; a loop may still ask for its length."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return _metered(iter(self._values))


def _metered(values: Iterator[Any]) -> Iterator[Any]:
    meter = METER.get()
    for value in values:
        meter.tick()
        yield value


def _finalize(value: Any) -> str:
    meter = METER.get()
    meter.allow(meter.weigh(value))
    return meter.write(value if isinstance(value, str) else str(value))


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that pays: numbers are bounded before it runs, its result is weighed."""
    skipped = 2 if hasattr(function, "jinja_pass_arg") else 1

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        meter = METER.get(None)
        if meter is None:  # while compiling: nothing is known yet, so nothing is folded
            raise nodes.Impossible
        meter.tick()
        value, rest = (
            args[skipped - 1] if len(args) >= skipped else "",
            [*args[skipped:], *kwargs.values()],
        )
        for argument in rest if name in SIZED_FILTERS else ():
            metering.number(argument)
        check = CHECKS.get(name)
        if check is not None:
            check(meter, value, rest)
        return meter.keep(function(*args, **kwargs))

    return guarded


def _check_indent(meter: Meter, value: Any, rest: list[Any]) -> None:
    width = max(
        (len(one) if isinstance(one, str) else metering.number(one) for one in rest), default=4
    )
    meter.allow(len(str(value)) + (str(value).count("\n") + 1) * width)


def _check_json(meter: Meter, value: Any, rest: list[Any]) -> None:
    width = max(
        (len(one) if isinstance(one, str) else metering.number(one) for one in rest), default=0
    )
    meter.allow(meter.weigh(value) * (1 + width / metering.ITEM_WEIGHT))


def _check_pieces(meter: Meter, value: Any, rest: list[Any]) -> None:
    count = max((metering.number(one) for one in rest if isinstance(one, int)), default=0)
    meter.allow(count * (metering.ITEM_WEIGHT + sum(meter.weigh(one) for one in rest)))


def _check_sum(meter: Meter, value: Any, rest: list[Any]) -> None:
    if any(isinstance(one, list | tuple) for one in rest):
        raise ChatTemplateError("A chat template may sum numbers, not lists. Use another template.")


CHECKS: dict[str, Callable[[Meter, Any, list[Any]], None]] = {
    "batch": _check_pieces,
    "format": lambda meter, value, rest: metering.check_format(str(value), rest, "%"),
    "indent": _check_indent,
    "join": lambda meter, value, rest: metering.check_join(rest[0] if rest else "", value),
    "replace": lambda meter, value, rest: metering.check_replace(value, *rest[:2]),
    "slice": _check_pieces,
    "sum": _check_sum,
    "tojson": _check_json,
}


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as models have seen it: without the escapes that HTML needs."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise ChatTemplateError(str(message)[:10_000])


def _strftime_now(format: str) -> str:
    metering.check_time_format(format)
    return datetime.now().strftime(format)


def _environment() -> _Environment:
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, "jinja2.ext.loopcontrols"],
        finalize=_finalize,
        optimized=False,
    )
    environment.filters["tojson"] = _tojson
    for name in UNBOUNDED_FILTERS:
        environment.filters.pop(name, None)
    tables: tuple[dict[str, Any], ...] = (environment.filters, environment.tests)
    for table in tables:
        table.update({name: _guarded(name, function) for name, function in table.items()})
    environment.globals.pop("lipsum", None)
    environment.globals.update(
        namespace=_Namespace, raise_exception=_raise_exception, strftime_now=_strftime_now
    )
    return environment


ENVIRONMENT = _environment()
