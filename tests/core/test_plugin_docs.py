"""The page about plugins tells today's truth."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from dovetail import hookspecs, plugins
from dovetail.discovery import hook_kinds
from dovetail.newplugin import KINDS, write_plugin

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()


def test_every_hook_is_listed_with_its_exact_arguments_and_declaration():
    listed = dict(re.findall(r"^\| `(dovetail_\w+\([^)]*\))` \| `(\w+)`", PAGE, re.MULTILINE))
    expected = {}
    for name, kind in hook_kinds().items():
        arguments = inspect.signature(getattr(hookspecs, name)).parameters
        expected[f"{name}({', '.join(arguments)})"] = kind.__name__
    assert listed == expected


def test_every_variable_and_call_is_listed():
    for variable in (plugins.ALLOW, plugins.DISABLE, plugins.PREFER):
        assert f"| `{variable}=" in PAGE
    for call in (plugins.allow, plugins.disable, plugins.enable, plugins.prefer):
        assert f"plugins.{call.__name__}(" in PAGE
    kinds = re.findall(r"NAME --kind ([\w|]+)", PAGE)
    assert [sorted(words.split("|")) for words in kinds] == [sorted(KINDS)]


def test_the_tutorial_ends_with_what_the_command_writes(tmp_path):
    folder = write_plugin("acme-similarity", "pipeline", tmp_path)
    shown = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    assert len(shown) == 4
    for path, text in shown.items():
        assert (folder / path).read_text() == text, path
