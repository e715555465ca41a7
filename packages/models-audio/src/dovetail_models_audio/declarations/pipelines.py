"""The tasks of speech and sound."""

from __future__ import annotations

from dovetail.declarations import PipelineDeclaration

PIPELINES: tuple[PipelineDeclaration, ...] = ()
