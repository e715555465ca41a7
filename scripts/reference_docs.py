"""Write `docs/reference` and the tables of contents of the package READMEs from what is declared.

usage: python scripts/reference_docs.py [--check]

With `--check` nothing is written; the exit status says whether something is out of date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import dedent

import click

from dovetail import errors, hookspecs, registry
from dovetail.declarations import Declaration

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
BEGIN, END = "<!-- contents: make docs -->", "<!-- end of contents -->"
NOTICE = (
    "<!-- Written by scripts/reference_docs.py (`make docs`); edit the docstrings instead. -->\n"
)


def main() -> int:
    """Write what differs, or with `--check` only name it."""
    check = "--check" in sys.argv[1:]
    stale = [
        path for path, text in pages().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path])
    return 1 if check and stale else 0


def pages() -> dict[Path, str]:
    """Every generated file and the text it should have."""
    reference = {
        "commands": ["# Commands", *commands()],
        "errors": ["# Errors", *error_classes()],
        "hooks": ["# Hooks", *hooks()],
        "models": ["# Models", *models()],
        "tasks": ["# Tasks of pipelines", *tasks()],
    }
    texts = {
        REFERENCE / f"{name}.md": NOTICE + "\n" + "\n\n".join(parts) + "\n"
        for name, parts in reference.items()
    }
    return texts | readmes()


def commands() -> Iterator[str]:
    """Every command with its usage, description and options, as its own help gives them."""
    yield "Every command has `--help`; `dovetail --debug COMMAND` shows the traceback of a failure."
    for declaration in _core(registry.commands().declarations()):
        yield from _command(
            f"dovetail {declaration.name}", registry.commands().load(declaration.name)
        )


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path, max_content_width=96, terminal_width=96)
    yield f"## {path}"
    yield f"```text\n{_unstyled(command.get_help(context))}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(f"{path} {name}", child)


def _unstyled(text: str) -> str:
    return "\n".join(line.rstrip() for line in click.unstyle(text).splitlines())


def error_classes() -> Iterator[str]:
    """Every error class, the built-ins it also is, and when it is raised."""
    yield "All are in `dovetail.errors`. Each is also the built-in that the field's code catches."
    rows = [
        (
            f"`{item.__name__}`",
            ", ".join(f"`{base.__name__}`" for base in item.__bases__),
            _summary(item),
        )
        for item in vars(errors).values()
        if inspect.isclass(item) and issubclass(item, errors.DovetailError)
    ]
    yield table(("error", "is also", "raised for"), rows)


def hooks() -> Iterator[str]:
    """Every hook with its arguments and its documentation."""
    yield inspect.getdoc(hookspecs) or ""
    for name, hook in vars(hookspecs).items():
        if name.startswith("dovetail_"):
            yield f"## {name}"
            signature = str(inspect.signature(hook)).replace("'", "")
            yield f"```python\ndef {name}{signature}\n```"
            yield _with_examples(inspect.getdoc(hook) or "")


def _with_examples(text: str) -> str:
    """The indented block after ``Example:`` as a block of Python."""
    before, sign, example = text.partition("Example:\n")
    return f"{before}```python\n{dedent(example).rstrip()}\n```" if sign else text


def models() -> Iterator[str]:
    """Every architecture of the official packages with its public classes."""
    for package, declarations in _by_package(registry.models().declarations()):
        yield f"## {package}"
        yield _model_table(declarations)


def _model_table(declarations: Iterable[Declaration]) -> str:
    rows = [
        (f"`{item.keys[0]}`", " ".join(f"`{name}`" for name in sorted(item.exports)))
        for item in declarations
    ]
    return table(("model type", "public names"), rows)


def tasks() -> Iterator[str]:
    """Every task of the official packages."""
    for package, declarations in _by_package(registry.pipelines().declarations()):
        yield f"## {package}"
        yield _task_table(declarations)


def _task_table(declarations: Iterable[Declaration]) -> str:
    rows = [
        (
            ", ".join(f"`{name}`" for name in item.keys),
            item.inputs,
            ", ".join(f"`{name}`" for name in item.auto_models),
            f"`{item.default_model}`" if item.default_model else "none",
        )
        for item in declarations
    ]
    return table(("task", "input", "picks the model by", "default model"), rows)


def _method_table(declarations: Iterable[Declaration]) -> str:
    configs = {item.keys[0]: registry.resolve(item.config) for item in declarations}
    rows = [
        (f"`{name}`", f"`{config.__name__}`", _summary(config)) for name, config in configs.items()
    ]
    return table(("method", "config", "what it is"), rows)


def readmes() -> dict[Path, str]:
    """The READMEs of the packages with their tables of contents brought up to date."""
    kinds = (
        (_model_table, registry.models()),
        (_task_table, registry.pipelines()),
        (_method_table, registry.quantizers()),
    )
    tables = [(render, dict(_by_package(kind.declarations()))) for render, kind in kinds]
    texts = {}
    for path in sorted(ROOT.glob("packages/*/README.md")):
        package = path.read_text().partition("\n")[0].removeprefix("# ")
        before, begin, rest = path.read_text().partition(BEGIN)
        if begin:
            parts = [render(owned[package]) for render, owned in tables if package in owned]
            body = "\n\n".join(parts) or "Nothing yet."
            texts[path] = f"{before}{BEGIN}\n\n{body}\n\n{END}{rest.partition(END)[2]}"
    return texts


def table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _summary(item: type) -> str:
    return " ".join((inspect.getdoc(item) or "").split("\n\n")[0].split())


def _core(declarations: Iterable[Declaration]) -> list[Declaration]:
    return [item for item in declarations if _provider(item) == "dovetail"]


def _by_package(declarations: Iterable[Declaration]) -> Iterator[tuple[str, list[Declaration]]]:
    """The declarations of each official package, so that no plugin of this machine gets in."""
    groups: dict[str, list[Declaration]] = {}
    for item in declarations:
        groups.setdefault(_provider(item), []).append(item)
    return ((name, groups[name]) for name in sorted(groups) if name.startswith("dovetail"))


def _provider(declaration: Declaration) -> str:
    kind = next(r for r in registry.all_registries() if isinstance(declaration, r.kind))
    return kind.providers(declaration.keys[0])[0].distribution


if __name__ == "__main__":
    sys.exit(main())
