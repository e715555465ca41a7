"""What `dovetail-models-vision` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import (
    ConverterDeclaration,
    ModelDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
)
from dovetail_models_vision.declarations.backbones import BACKBONES
from dovetail_models_vision.declarations.converters import CONVERTERS
from dovetail_models_vision.declarations.detectors import DETECTORS
from dovetail_models_vision.declarations.family import PACKAGE
from dovetail_models_vision.declarations.image_text import IMAGE_TEXT
from dovetail_models_vision.declarations.language import LANGUAGE
from dovetail_models_vision.declarations.pipelines import PIPELINES
from dovetail_models_vision.declarations.segmenters import SEGMENTERS


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [*BACKBONES, *DETECTORS, *IMAGE_TEXT, *LANGUAGE, *SEGMENTERS]


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return list(CONVERTERS)


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The tasks of this distribution."""
    return list(PIPELINES)


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """Further public names."""
    mixin = "ImageFeatureExtractionMixin"
    return [NamesDeclaration({mixin: f"{PACKAGE}.images.mixin:{mixin}"})]
