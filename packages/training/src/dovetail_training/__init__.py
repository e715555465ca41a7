"""The Trainer of Dovetail, its callbacks, collators and schedules.

The declarations are in `dovetail_training.plugin`; importing this package costs nothing.
"""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # Looked up on demand: every discovery of plugins imports this module, few read the version.
    if name == "__version__":
        from importlib.metadata import version

        return version("dovetail-training")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
