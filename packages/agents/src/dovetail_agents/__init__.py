"""Agents, tools and engines of Dovetail.

The declarations are in `dovetail_agents.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-agents")
