"""The documentation is true: its snippets run, its links lead somewhere, it names all there is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image, ImageChops, ImageStat

from dovetail import errors, hookspecs, plugins, registry

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "packages/*/README.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
TAUGHT = [path for path in PAGES if "reference" not in path.parts]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def snippets() -> list:
    """Every block of Python that stands for itself: it imports what it uses."""
    return [
        pytest.param(code, id=f"{name(path)}-{number}")
        for path in TAUGHT
        for number, code in enumerate(SNIPPET.findall(path.read_text()), 1)
        if "import" in code and "@hookimpl" not in code
    ]


@pytest.mark.parametrize("code", snippets())
def test_snippets_run(code, request, tmp_path, monkeypatch):
    if "MiniLM" in code:
        cache = request.getfixturevalue("cache_with_minilm")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<snippet>", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
            assert anchor in slugs, f"{name(page)} links to {target}"


def test_the_reference_is_up_to_date():
    script = [sys.executable, str(ROOT / "scripts" / "reference_docs.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `make docs`:\n{done.stdout}{done.stderr}"


def commands(group: dict[str, click.Command]) -> dict[str, click.Command]:
    """The commands and, under ``group command``, those of groups."""
    found = dict(group)
    for title, command in group.items():
        if isinstance(command, click.Group):
            inner = {f"{title} {key}": value for key, value in command.commands.items()}
            found |= commands(inner)
    return found


def test_every_option_of_every_command_is_documented():
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text()
    sections = dict(re.findall(r"^## dovetail (.*?)\n(.*?)(?=^## |\Z)", reference, re.M | re.S))
    declared = {item.name: item for item in registry.commands().declarations()}
    loaded = {key: registry.commands().load(key) for key in declared}
    for title, command in commands(loaded).items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for option in parameter.opts:
                    assert option in sections[title]


def test_every_error_and_every_hook_with_its_arguments_is_documented():
    listed = (ROOT / "docs" / "reference" / "errors.md").read_text()
    for title, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.DovetailError):
            assert f"`{title}`" in listed
    described = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    for title, value in vars(hookspecs).items():
        if title.startswith("dovetail_"):
            assert f"def {title}(" in described
            assert ", ".join(inspect.signature(value).parameters) in described


def test_commands_that_the_pages_show_exist():
    known = set(registry.commands().names())
    for page in TAUGHT:
        for block in re.findall(r"^```text\n(.*?)^```", page.read_text(), re.M | re.S):
            for word in re.findall(r"^dovetail ([a-z][\w-]*)", block, re.M):
                assert word in known, f"{name(page)} shows `dovetail {word}`"


def test_make_targets_that_the_pages_show_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in TAUGHT:
        for words in re.findall(r"`make ([a-z -]+)`", page.read_text()):
            assert set(words.split()) <= targets, f"{name(page)} shows `make {words}`"


def modules_with_examples() -> list[str]:
    return [
        ".".join(path.relative_to(package / "src").with_suffix("").parts).removesuffix(".__init__")
        for package in sorted(ROOT.glob("packages/*"))
        for path in sorted(package.glob("src/**/*.py"))
        if "templates" not in path.parts and ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_in_docstrings_are_true(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(importlib.import_module(module), optionflags=options)
    plugins.manager().reset()  # some examples choose plugins
    assert found.failed == 0


def test_every_page_of_the_documentation_is_in_its_index():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("**/*.md"):
        if page.name != "README.md":
            assert f"({page.relative_to(ROOT / 'docs').as_posix()})" in index, name(page)


def tasks_on_pictures() -> list[str]:
    return [
        declared.task
        for declared in registry.pipelines().declarations()
        if str(declared.pipeline).startswith("dovetail_models_vision.")
    ]


@pytest.mark.parametrize("task", tasks_on_pictures())
def test_the_page_of_a_task_on_pictures_shows_its_result(task):
    page = ROOT / "docs" / "pipelines" / f"{task}.md"
    (shown,) = re.findall(r"^!\[.+\]\((.+)\)$", page.read_text(), re.M)
    assert shown == f"pictures/{task}.jpg"
    path = page.parent / shown
    assert path.stat().st_size < 60_000
    with Image.open(path) as picture:
        picture.load()


def test_the_pictures_of_results_are_up_to_date(tmp_path):
    script = [sys.executable, str(ROOT / "scripts" / "doc_pictures.py"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in tmp_path.iterdir()} == set(tasks_on_pictures())
    for path in tmp_path.iterdir():
        kept = ROOT / "docs" / "pipelines" / "pictures" / path.name
        with Image.open(path) as drawn, Image.open(kept) as shown:
            assert drawn.size == shown.size, f"run scripts/doc_pictures.py: {path.name}"
            apart = ImageStat.Stat(ImageChops.difference(drawn, shown)).mean
            assert max(apart) < 2, f"run scripts/doc_pictures.py: {path.name}"
