"""What ``from dovetail import NAME`` finds, and what it says when it finds nothing."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from dovetail import plugins
from dovetail.discovery import core_version
from dovetail.errors import PluginLoadError, near_matches, quoted
from dovetail.names import core_modules, known_names
from dovetail.registry import absence, blame, resolve


def public_names() -> list[str]:
    """All names that can be imported from ``dovetail``, sorted."""
    return sorted({*core_modules(), *plugins.manager().exports()})


def attribute(name: str) -> Any:
    """The value of ``dovetail.NAME``: a name of the core, else what a plugin exports.

    Raises:
        AttributeError: nobody has the name (ImportError inside ``from dovetail import NAME``).
        MissingPluginError: it belongs to a package that is not installed.
        PluginConflictError: several plugins claim it.
        PluginLoadError: it could not be imported.
    """
    if name.startswith("__"):
        return _special(name)
    dovetail = sys.modules["dovetail"]
    if name in core_modules():
        value = getattr(importlib.import_module(core_modules()[name]), name)
        setattr(dovetail, name, value)
        return value
    claims = plugins.manager().exports().get(name)
    if claims is None:
        raise _unknown(name)
    claim = plugins.manager().settle(name, claims)
    try:
        return resolve(claim.value)
    except PluginLoadError as error:
        raise blame(error, claim.plugin) from error.__cause__


def _special(name: str) -> Any:
    if name == "__version__":
        return core_version()
    # `from dovetail import *` brings the core's names: those of all plugins would import every
    # model.
    if name == "__all__":
        return sorted(core_modules())
    raise AttributeError(f"module 'dovetail' has no attribute {name!r}")


def _unknown(name: str) -> Exception:
    missing = absence("public", name, repr(name))
    if missing is not None:
        return missing
    near = near_matches(name, {*public_names(), *known_names("public")})
    unused = plugins.manager().discovery.unused
    message = f"'dovetail' has no public name {quoted(name)}.{near}{unused}"
    # `from dovetail import NAME` swallows an AttributeError, and its message; it comes here by way
    # of the import machinery, which lets an ImportError through.
    frame: Any = sys._getframe(3)
    importing = frame.f_globals.get("__name__") == "importlib._bootstrap"
    kind = ImportError if importing else AttributeError
    return kind(message, name=name)
