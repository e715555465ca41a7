"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def give_back() -> None:
    """Return what was freed to the system, where the C library keeps it (glibc).

    Packing makes and frees a full copy of every weight; without this the process would go on
    holding the largest of them.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
