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
        "wav2vec2",
        "Wav2Vec2",
        ("Model", "ForAudioFrameClassification", "ForCTC", "ForMaskedLM", "ForPreTraining"),
        auto={
            "AutoModelForAudioClassification": "Wav2Vec2ForSequenceClassification",
            "AutoModelForAudioXVector": "Wav2Vec2ForXVector",
        },
        feature_extractor="Wav2Vec2FeatureExtractor",
        tokenizer="Wav2Vec2CTCTokenizer",
        processor="Wav2Vec2Processor",
    ),
    family(
        "whisper",
        "Whisper",
        ("Model", "ForAudioClassification", "ForCausalLM"),
        feature_extractor="WhisperFeatureExtractor",
    ),
)
