"""Pipelines: raw input to readable result in one call.

    >>> from dovetail import pipeline
    >>> pipe = pipeline("text-classification", model="folder-or-hub-id")  # doctest: +SKIP

The tasks themselves are plugins'; their classes can also be imported from here (``from
dovetail.pipelines import FillMaskPipeline``).
"""

from __future__ import annotations

from typing import Any

from dovetail.pipelines.base import (
    ArgumentHandler,
    ChunkPipeline,
    GenericTensor,
    Pipeline,
    PipelineException,
)
from dovetail.pipelines.batching import KeyDataset, KeyPairDataset
from dovetail.pipelines.factory import pipeline
from dovetail.pipelines.formats import (
    CsvPipelineDataFormat,
    JsonPipelineDataFormat,
    PipedPipelineDataFormat,
    PipelineDataFormat,
)
from dovetail.pipelines.registry import (
    PIPELINE_REGISTRY,
    PipelineRegistry,
    check_task,
    get_supported_tasks,
    get_task,
)

__all__ = [
    "PIPELINE_REGISTRY",
    "ArgumentHandler",
    "ChunkPipeline",
    "CsvPipelineDataFormat",
    "GenericTensor",
    "JsonPipelineDataFormat",
    "KeyDataset",
    "KeyPairDataset",
    "PipedPipelineDataFormat",
    "Pipeline",
    "PipelineDataFormat",
    "PipelineException",
    "PipelineRegistry",
    "check_task",
    "get_supported_tasks",
    "get_task",
    "pipeline",
]


def __getattr__(name: str) -> Any:
    """The task classes that plugins declare."""
    if not name.endswith("Pipeline"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import dovetail

    return getattr(dovetail, name)
