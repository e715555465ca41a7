"""torchaudio, where it can be used: installed without a fitting compiled part it cannot."""

from __future__ import annotations

import importlib
import warnings
from functools import cache
from types import ModuleType


@cache
def torchaudio_module(name: str) -> ModuleType | None:
    """The module ``torchaudio.<name>``, or None where torchaudio is absent or does not load."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(f"torchaudio.{name}")
    except (ImportError, OSError, RuntimeError, AttributeError):
        # A wheel for another build of torch fails in one of these ways; we need it for nothing.
        return None
