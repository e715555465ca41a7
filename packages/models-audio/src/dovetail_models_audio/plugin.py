"""What `dovetail-models-audio` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import (
    ConverterDeclaration,
    ModelDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
)
from dovetail_models_audio.declarations.converters import CONVERTERS
from dovetail_models_audio.declarations.family import PACKAGE
from dovetail_models_audio.declarations.models import MODELS
from dovetail_models_audio.declarations.pipelines import PIPELINES

AUDIO = {
    "decibels": ("amplitude_to_db", "amplitude_to_db_batch", "power_to_db", "power_to_db_batch"),
    "live": (
        "chunk_bytes_iter",
        "ffmpeg_microphone",
        "ffmpeg_microphone_live",
        "ffmpeg_read",
    ),
    "reading": ("load_audio", "stream_audio"),
    "resampling": ("resample",),
    "scales": (
        "chroma_filter_bank",
        "hertz_to_mel",
        "hertz_to_octave",
        "mel_filter_bank",
        "mel_to_hertz",
    ),
    "spectrograms": ("istft", "spectrogram", "spectrogram_batch"),
    "windows": ("optimal_fft_length", "window_function"),
}
"""Module of the audio toolkit to its public names."""

EXTRACTORS = {
    "clap": "ClapFeatureExtractor",
    "encodec": "EncodecFeatureExtractor",
    "speech_to_text": "Speech2TextFeatureExtractor",
    "speecht5": "SpeechT5FeatureExtractor",
}
"""Folder to its feature extractor, of architectures that are not here."""


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return list(MODELS)


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The tasks of this distribution."""
    return list(PIPELINES)


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return list(CONVERTERS)


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """The audio toolkit, and the feature extractors."""
    tools = {
        name: f"{PACKAGE}.audio.{module}:{name}"
        for module, names in AUDIO.items()
        for name in names
    }
    extractors = {
        name: f"{PACKAGE}.{folder}.feature_extraction:{name}" for folder, name in EXTRACTORS.items()
    }
    return [NamesDeclaration(tools | extractors)]
