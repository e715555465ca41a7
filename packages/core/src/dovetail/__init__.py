"""Dovetail: pretrained transformer models, as a small core and the plugins you install.

Every public name of the core and of every installed plugin can be imported from here. Each is
looked up when first asked for, so importing this package loads neither torch nor a model.

    >>> from dovetail import AutoConfig, hookimpl
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def __getattr__(name: str) -> Any:
    # Modules first: the core's own `from dovetail import plugins` must need nothing but this file.
    module = name.isidentifier() and not name.startswith("__")
    if module and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    from dovetail.namespace import attribute

    return attribute(name)


def __dir__() -> list[str]:
    from dovetail.namespace import public_names

    return sorted({*globals(), *public_names()})
