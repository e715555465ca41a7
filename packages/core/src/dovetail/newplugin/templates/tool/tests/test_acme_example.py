"""The tool by itself, and found through Dovetail's registry."""

from __future__ import annotations

import inspect

import pytest
from acme_example.tool import AcmeExampleTool

from dovetail import registry


def test_it_counts_words():
    """Any white space separates."""
    tool = AcmeExampleTool()
    assert tool("one two\nthree") == 3
    assert tool(text="") == 0
    with pytest.raises(TypeError, match="text must be a string, not int"):
        tool(3)


def test_its_description_fits_its_arguments():
    """What agents are told is what they can call."""
    arguments = list(inspect.signature(AcmeExampleTool().forward).parameters)
    assert list(AcmeExampleTool.inputs) == arguments


def test_dovetail_finds_it():
    """The entry point and the hook lead to the class."""
    assert registry.tools().load(AcmeExampleTool.name) is AcmeExampleTool
    assert [plugin.name for plugin in registry.tools().providers("acme_example")] == [
        "acme-example"
    ]
