"""Vision-language models: they write about pictures and videos."""

from __future__ import annotations

from dovetail.declarations import ModelDeclaration

LANGUAGE: tuple[ModelDeclaration, ...] = ()
