"""What `dovetail-models-text` provides: declarations only, no model is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import (
    ConverterDeclaration,
    ModelDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
)
from dovetail_models_text.declarations.converters import CONVERTERS
from dovetail_models_text.declarations.decoders import DECODERS
from dovetail_models_text.declarations.encoder_decoders import ENCODER_DECODERS
from dovetail_models_text.declarations.encoders import ENCODERS
from dovetail_models_text.declarations.family import PACKAGE
from dovetail_models_text.declarations.pipelines import PIPELINES
from dovetail_models_text.declarations.recurrent import RECURRENT


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [*ENCODERS, *DECODERS, *RECURRENT, *ENCODER_DECODERS]


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The text tasks."""
    return list(PIPELINES)


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return list(CONVERTERS)


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """Further public names."""
    return [
        NamesDeclaration(
            {
                "NerPipeline": f"{PACKAGE}.pipelines.token_classification:NerPipeline",
                "SquadExample": f"{PACKAGE}.pipelines.squad:SquadExample",
            }
        )
    ]
