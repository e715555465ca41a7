"""The public names: those of the core, and whose package every other one belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CORE_NAMES: Mapping[str, tuple[str, ...]] = {
    "configs": ("PretrainedConfig",),
    "declarations": (
        "AttentionDeclaration",
        "CallbackDeclaration",
        "CommandDeclaration",
        "ConverterDeclaration",
        "EngineDeclaration",
        "ModelDeclaration",
        "NamesDeclaration",
        "PipelineDeclaration",
        "QuantizerDeclaration",
        "StrategyDeclaration",
        "ToolDeclaration",
        "family",
    ),
    "generation": (
        "BeamScorer",
        "BeamSearchScorer",
        "EncoderNoRepeatNGramLogitsProcessor",
        "EncoderRepetitionPenaltyLogitsProcessor",
        "EosTokenCriteria",
        "EpsilonLogitsWarper",
        "EtaLogitsWarper",
        "ExponentialDecayLengthPenalty",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "GenerationConfig",
        "GenerationMixin",
        "HammingDiversityLogitsProcessor",
        "InfNanRemoveLogitsProcessor",
        "LogitNormalization",
        "LogitsProcessor",
        "LogitsProcessorList",
        "LogitsWarper",
        "MaxLengthCriteria",
        "MaxTimeCriteria",
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "MinPLogitsWarper",
        "NoBadWordsLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "PrefixConstrainedLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "SequenceBiasLogitsProcessor",
        "StopStringCriteria",
        "StoppingCriteria",
        "StoppingCriteriaList",
        "SuppressTokensAtBeginLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "TemperatureLogitsWarper",
        "TextIteratorStreamer",
        "TextStreamer",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "TypicalLogitsWarper",
    ),
    "hookspecs": ("hookimpl",),
    "hub": ("PushToHubMixin",),
    "pipelines": (
        "CsvPipelineDataFormat",
        "JsonPipelineDataFormat",
        "PipedPipelineDataFormat",
        "Pipeline",
        "PipelineDataFormat",
        "pipeline",
    ),
    "processors": (
        "BaseImageProcessor",
        "BatchFeature",
        "FeatureExtractionMixin",
        "ImageProcessingMixin",
        "ProcessorMixin",
        "SequenceFeatureExtractor",
    ),
}
"""Module of the core to the names it adds to ``from dovetail import ...``."""


@cache
def core_modules() -> dict[str, str]:
    """Public name to the module of the core that defines it."""
    return {name: f"dovetail.{module}" for module, names in CORE_NAMES.items() for name in names}


@dataclass(frozen=True)
class Owner:
    """The official distribution that holds a name, and the extra of the core that installs it."""

    distribution: str
    extra: str

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f'pip install "dovetail[{self.extra}]"'


@cache
def _known() -> dict[str, dict[str, Owner]]:
    """Kind of name to name to owner. Read only when a name is not found among what is installed."""
    table: dict[str, dict[str, Owner]] = {}
    for distribution, content in json.loads(
        files("dovetail").joinpath("known.json").read_text()
    ).items():
        owner = Owner(distribution, content["extra"])
        for kind, names in content["names"].items():
            table.setdefault(kind, {}).update(dict.fromkeys(names, owner))
    return table


def known_owner(kind: str, name: str) -> Owner | None:
    """The official distribution that holds `name`, installed or not.

    `kind` is ``model``, ``pipeline``, ``quantizer`` or ``public``.
    """
    return _known().get(kind, {}).get(name)


def known_names(kind: str) -> list[str]:
    """All names of that kind which official distributions hold."""
    return list(_known().get(kind, ()))
