"""Generation: settings, processors, criteria, streamers, strategies and ``generate`` itself.

Names resolve on first use, so that `GenerationConfig` can be had without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

MODULES = {
    "configuration": ("GenerationConfig", "GenerationMode"),
    "beams": ("BeamHypotheses", "BeamScorer", "BeamSearchScorer"),
    "continuous.configuration": ("ContinuousBatchingConfig", "WorkloadHints"),
    "continuous.manager": ("ContinuousBatchingManager",),
    "continuous.requests": ("GenerationOutput", "RequestStatus"),
    "constrained_beams": ("ConstrainedBeamSearchScorer",),
    "phrases": (
        "Constraint",
        "ConstraintListState",
        "DisjunctiveConstraint",
        "PhrasalConstraint",
    ),
    "mixin": ("GenerationMixin",),
    "outputs": (
        "BeamSampleDecoderOnlyOutput",
        "BeamSampleEncoderDecoderOutput",
        "BeamSearchDecoderOnlyOutput",
        "BeamSearchEncoderDecoderOutput",
        "ContrastiveSearchDecoderOnlyOutput",
        "ContrastiveSearchEncoderDecoderOutput",
        "GenerateBeamDecoderOnlyOutput",
        "GenerateBeamEncoderDecoderOutput",
        "GenerateDecoderOnlyOutput",
        "GenerateEncoderDecoderOutput",
        "GreedySearchDecoderOnlyOutput",
        "GreedySearchEncoderDecoderOutput",
        "SampleDecoderOnlyOutput",
        "SampleEncoderDecoderOutput",
    ),
    "processors": (
        "AlternatingCodebooksLogitsProcessor",
        "ClassifierFreeGuidanceLogitsProcessor",
        "EncoderNoRepeatNGramLogitsProcessor",
        "EncoderRepetitionPenaltyLogitsProcessor",
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "ExponentialDecayLengthPenalty",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "HammingDiversityLogitsProcessor",
        "InfNanRemoveLogitsProcessor",
        "LogitNormalization",
        "LogitsProcessor",
        "LogitsProcessorList",
        "LogitsWarper",
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "MinPLogitsWarper",
        "NoBadWordsLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "PrefixConstrainedLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "SequenceBiasLogitsProcessor",
        "StructuredLogitsProcessor",
        "SuppressTokensAtBeginLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "TypicalLogitsWarper",
        "UnbatchedClassifierFreeGuidanceLogitsProcessor",
        "WatermarkDetector",
        "WatermarkDetectorOutput",
        "WatermarkLogitsProcessor",
        "WhisperTimeStampLogitsProcessor",
    ),
    "stopping": (
        "EosTokenCriteria",
        "MaxLengthCriteria",
        "MaxTimeCriteria",
        "StopStringCriteria",
        "StoppingCriteria",
        "StoppingCriteriaList",
        "validate_stopping_criteria",
    ),
    "strategies": ("Strategy",),
    "streamers": (
        "AsyncTextIteratorStreamer",
        "BaseStreamer",
        "TextIteratorStreamer",
        "TextStreamer",
    ),
    "watermarking": ("WatermarkingConfig",),
}
HOMES = {name: module for module, names in MODULES.items() for name in names}

__all__ = sorted(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
