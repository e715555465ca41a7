"""What this package adds to Dovetail. Importing this module imports neither torch nor the task."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import PipelineDeclaration


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The tasks of this package, each with the auto classes that load a model for it."""
    return [
        PipelineDeclaration(
            "acme-example",
            pipeline="acme_example.pipeline:AcmeExamplePipeline",
            auto_models=("AutoModel",),
            inputs="text",
        )
    ]
