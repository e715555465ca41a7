"""The Trainer of Dovetail, its callbacks, collators and schedules.

The declarations are in `dovetail_training.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-training")
