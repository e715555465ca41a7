"""Bases of what turns images, sound and video into a model's inputs.

Feature extractors (sound), image processors, and processors that combine them with a tokenizer.
"""

from __future__ import annotations

from dovetail.processors.combined import ProcessorMixin
from dovetail.processors.features import BatchFeature
from dovetail.processors.images import BaseImageProcessor, ImageProcessingMixin
from dovetail.processors.kwargs import (
    AudioKwargs,
    CommonKwargs,
    ImagesKwargs,
    ProcessingKwargs,
    TextKwargs,
    VideosKwargs,
)
from dovetail.processors.preprocessor import FeatureExtractionMixin
from dovetail.processors.sequences import SequenceFeatureExtractor

__all__ = [
    "AudioKwargs",
    "BaseImageProcessor",
    "BatchFeature",
    "CommonKwargs",
    "FeatureExtractionMixin",
    "ImageProcessingMixin",
    "ImagesKwargs",
    "ProcessingKwargs",
    "ProcessorMixin",
    "SequenceFeatureExtractor",
    "TextKwargs",
    "VideosKwargs",
]
