"""Architectures that hear, speak or make sound."""

from __future__ import annotations

from dovetail.declarations import ModelDeclaration

MODELS: tuple[ModelDeclaration, ...] = ()
