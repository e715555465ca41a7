"""Architectures that hear, speak or make sound."""

from __future__ import annotations

from dovetail_models_audio.declarations.family import family

MODELS = (
    family(
        "audio-spectrogram-transformer",
        "AST",
        ("Model", "ForAudioClassification"),
        feature_extractor="ASTFeatureExtractor",
    ),
    family(
        "whisper",
        "Whisper",
        ("Model", "ForAudioClassification", "ForCausalLM"),
        feature_extractor="WhisperFeatureExtractor",
    ),
)
