"""The public names: those of the core, and whose package every other one belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CORE_NAMES: Mapping[str, tuple[str, ...]] = {
    "argument_parser": ("HfArgumentParser",),
    "auto": (
        "AutoBackbone",
        "AutoConfig",
        "AutoFeatureExtractor",
        "AutoImageProcessor",
        "AutoModel",
        "AutoModelForAudioClassification",
        "AutoModelForAudioFrameClassification",
        "AutoModelForAudioXVector",
        "AutoModelForCTC",
        "AutoModelForCausalLM",
        "AutoModelForDepthEstimation",
        "AutoModelForDocumentQuestionAnswering",
        "AutoModelForImageClassification",
        "AutoModelForImageSegmentation",
        "AutoModelForImageTextToText",
        "AutoModelForImageToImage",
        "AutoModelForInstanceSegmentation",
        "AutoModelForKeypointDetection",
        "AutoModelForMaskGeneration",
        "AutoModelForMaskedImageModeling",
        "AutoModelForMaskedLM",
        "AutoModelForMultipleChoice",
        "AutoModelForNextSentencePrediction",
        "AutoModelForObjectDetection",
        "AutoModelForPreTraining",
        "AutoModelForQuestionAnswering",
        "AutoModelForSemanticSegmentation",
        "AutoModelForSeq2SeqLM",
        "AutoModelForSequenceClassification",
        "AutoModelForSpeechSeq2Seq",
        "AutoModelForTableQuestionAnswering",
        "AutoModelForTextEncoding",
        "AutoModelForTextToSpectrogram",
        "AutoModelForTextToWaveform",
        "AutoModelForTokenClassification",
        "AutoModelForUniversalSegmentation",
        "AutoModelForVideoClassification",
        "AutoModelForVision2Seq",
        "AutoModelForVisualQuestionAnswering",
        "AutoModelForZeroShotImageClassification",
        "AutoModelForZeroShotObjectDetection",
        "AutoModelWithLMHead",
        "AutoProcessor",
        "AutoTokenizer",
        "CONFIG_MAPPING",
        "FEATURE_EXTRACTOR_MAPPING",
        "IMAGE_PROCESSOR_MAPPING",
        "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
        "MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING",
        "MODEL_FOR_AUDIO_XVECTOR_MAPPING",
        "MODEL_FOR_BACKBONE_MAPPING",
        "MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING",
        "MODEL_FOR_CAUSAL_LM_MAPPING",
        "MODEL_FOR_CTC_MAPPING",
        "MODEL_FOR_DEPTH_ESTIMATION_MAPPING",
        "MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING",
        "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
        "MODEL_FOR_IMAGE_MAPPING",
        "MODEL_FOR_IMAGE_SEGMENTATION_MAPPING",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
        "MODEL_FOR_IMAGE_TO_IMAGE_MAPPING",
        "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING",
        "MODEL_FOR_KEYPOINT_DETECTION_MAPPING",
        "MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING",
        "MODEL_FOR_MASKED_LM_MAPPING",
        "MODEL_FOR_MASK_GENERATION_MAPPING",
        "MODEL_FOR_MULTIPLE_CHOICE_MAPPING",
        "MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING",
        "MODEL_FOR_OBJECT_DETECTION_MAPPING",
        "MODEL_FOR_PRETRAINING_MAPPING",
        "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
        "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
        "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING",
        "MODEL_FOR_VISION_2_SEQ_MAPPING",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
        "MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING",
        "MODEL_FOR_TEXT_ENCODING_MAPPING",
        "MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING",
        "MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING",
        "MODEL_FOR_TIME_SERIES_CLASSIFICATION_MAPPING",
        "MODEL_FOR_TIME_SERIES_REGRESSION_MAPPING",
        "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
        "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING",
        "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING",
        "MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING",
        "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING",
        "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING",
        "MODEL_MAPPING",
        "MODEL_NAMES_MAPPING",
        "MODEL_WITH_LM_HEAD_MAPPING",
        "PROCESSOR_MAPPING",
        "TOKENIZER_MAPPING",
    ),
    "availability": (
        "is_apex_available",
        "is_av_available",
        "is_bitsandbytes_available",
        "is_clearml_available",
        "is_comet_available",
        "is_datasets_available",
        "is_decord_available",
        "is_dvclive_available",
        "is_faiss_available",
        "is_flax_available",
        "is_keras_nlp_available",
        "is_neptune_available",
        "is_optuna_available",
        "is_phonemizer_available",
        "is_psutil_available",
        "is_py3nvml_available",
        "is_pyctcdecode_available",
        "is_ray_available",
        "is_ray_tune_available",
        "is_sacremoses_available",
        "is_safetensors_available",
        "is_scipy_available",
        "is_sentencepiece_available",
        "is_sigopt_available",
        "is_sklearn_available",
        "is_speech_available",
        "is_tensorboard_available",
        "is_tensorflow_text_available",
        "is_tf_available",
        "is_timm_available",
        "is_tokenizers_available",
        "is_torch_available",
        "is_torch_mlu_available",
        "is_torch_musa_available",
        "is_torch_neuroncore_available",
        "is_torch_npu_available",
        "is_torch_tpu_available",
        "is_torch_xla_available",
        "is_torch_xpu_available",
        "is_torchvision_available",
        "is_vision_available",
        "is_wandb_available",
    ),
    "caches": (
        "Cache",
        "CacheConfig",
        "DynamicCache",
        "EncoderDecoderCache",
        "HQQQuantizedCache",
        "HybridCache",
        "MambaCache",
        "OffloadedCache",
        "OffloadedStaticCache",
        "QuantizedCache",
        "QuantizedCacheConfig",
        "QuantoQuantizedCache",
        "SinkCache",
        "SlidingWindowCache",
        "StaticCache",
        "StaticCacheConfig",
    ),
    "config_values": ("CONFIG_NAME",),
    "configs": ("PretrainedConfig",),
    "constants": (
        "MODEL_CARD_NAME",
        "PYTORCH_PRETRAINED_BERT_CACHE",
        "PYTORCH_TRANSFORMERS_CACHE",
        "SPIECE_UNDERLINE",
        "TRANSFORMERS_CACHE",
    ),
    "converting": ("convert_checkpoint",),
    "declarations": (
        "AttentionDeclaration",
        "CacheDeclaration",
        "CallbackDeclaration",
        "CheckDeclaration",
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
    "docstrings": (
        "add_end_docstrings",
        "add_start_docstrings",
    ),
    "generation": (
        "AlternatingCodebooksLogitsProcessor",
        "AsyncTextIteratorStreamer",
        "BaseStreamer",
        "BeamScorer",
        "BeamSearchScorer",
        "ClassifierFreeGuidanceLogitsProcessor",
        "ConstrainedBeamSearchScorer",
        "Constraint",
        "ConstraintListState",
        "ContinuousBatchingConfig",
        "ContinuousBatchingManager",
        "DisjunctiveConstraint",
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
        "PhrasalConstraint",
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
        "UnbatchedClassifierFreeGuidanceLogitsProcessor",
        "WatermarkDetector",
        "WatermarkLogitsProcessor",
        "WatermarkingConfig",
        "WhisperTimeStampLogitsProcessor",
    ),
    "hookspecs": ("hookimpl",),
    "hub": ("PushToHubMixin",),
    "integrations.executorch": (
        "TorchExportableModuleWithStaticCache",
        "convert_and_export_with_cache",
    ),
    "layers.chunking": ("apply_chunking_to_forward",),
    "layers.frequencies": ("ROPE_INIT_FUNCTIONS",),
    "layers.projections": ("Conv1D",),
    "layers.pruning": ("prune_layer",),
    "modeling": ("PreTrainedModel",),
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
    "tokenizers": (
        "AddedToken",
        "BatchEncoding",
        "CharSpan",
        "PreTrainedTokenizer",
        "PreTrainedTokenizerBase",
        "PreTrainedTokenizerFast",
        "SpecialTokensMixin",
        "TensorType",
        "TokenSpan",
        "TokenizersBackend",
    ),
    "tokenizers.convert": ("SLOW_TO_FAST_CONVERTERS", "convert_slow_tokenizer"),
    "weight_files": ("WEIGHTS_NAME",),
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
