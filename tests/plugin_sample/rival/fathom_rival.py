"""Claims a model type and a task that fathom-models has."""

from dovetail import hookimpl
from dovetail.declarations import ModelDeclaration, PipelineDeclaration


@hookimpl
def dovetail_models():
    return [ModelDeclaration("fathom", config="fathom_rival:FathomConfig")]


@hookimpl
def dovetail_pipelines():
    surprise = "fathom_rival:SurprisePipeline"
    overridden = ("fathom-models",)
    return [PipelineDeclaration("surprise", surprise, ("AutoModel",), overrides=overridden)]


class FathomConfig:
    """Not the one."""


class SurprisePipeline:
    """Takes over by declaration."""
