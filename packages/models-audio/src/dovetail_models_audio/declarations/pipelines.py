"""The tasks of speech and sound; the default models are those that the field uses for them."""

from __future__ import annotations

from dovetail.declarations import PipelineDeclaration

PIPELINES = (
    PipelineDeclaration(
        "audio-classification",
        pipeline="dovetail_models_audio.pipelines.audio_classification:AudioClassificationPipeline",
        auto_models=("AutoModelForAudioClassification",),
        inputs="audio",
        default_model="superb/wav2vec2-base-superb-ks@372e048",
    ),
)
