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

PROCESSORS = {
}
"""Image processors of architectures that are not here: folder to prefix, and whether they were once
called feature extractors."""


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [*BACKBONES, *DETECTORS, *IMAGE_TEXT, *LANGUAGE, *SEGMENTERS]


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """The image processors that stand alone."""
    names = {}
    for folder, (prefix, was_extractor) in PROCESSORS.items():
        target = f"{PACKAGE}.{folder}.image_processing:{prefix}ImageProcessor"
        names[f"{prefix}ImageProcessor"] = target
        if was_extractor:
            names[f"{prefix}FeatureExtractor"] = target
    return [NamesDeclaration(names)]


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return list(CONVERTERS)


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The tasks of this distribution."""
    return list(PIPELINES)
