"""The auto classes for models: each picks, for a config, the class that does one task."""

from __future__ import annotations

import os
import warnings
from typing import Any, ClassVar

from dovetail import registry
from dovetail.auto.config import auto_map_of, config_for
from dovetail.auto.mapping import ClassMapping, ClassNames, pick, register, unfit
from dovetail.auto.remote import RemoteCode
from dovetail.errors import ConfigError
from dovetail.load_options import LoadOptions


class AutoClass:
    """What the auto classes for models share."""

    _model_mapping: ClassVar[ClassMapping]

    def __init_subclass__(cls) -> None:
        cls._model_mapping = ClassMapping(cls.__name__)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise OSError(
            f"{name} is no model itself: use {name}.from_pretrained(name_or_folder) or "
            f"{name}.from_config(config)."
        )

    @classmethod
    def from_config(cls, config: Any, **kwargs: Any) -> Any:
        """A model with fresh weights.

        `kwargs` may be `torch_dtype`, `attn_implementation`, `trust_remote_code`, or what the
        model's constructor takes.

        Raises:
            ConfigError: no class of this kind is known for the config.
        """
        remote = RemoteCode.take(kwargs)
        model_class = cls._class_for(config, config.name_or_path, remote)
        return model_class._from_config(own_config(config, model_class), **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        **kwargs: Any,
    ) -> Any:
        """The model of a checkpoint: a folder, a weights file or a Hub id.

        The keyword arguments are those of `dovetail.loading.load_pretrained`.

        Raises:
            ConfigError: no class of this kind is known for the checkpoint's config.
            HubError: the checkpoint cannot be found or fetched.
            CheckpointError: it is damaged, torn or unsafe.
            MismatchError: its tensors do not fit the model.
        """
        source = pretrained_model_name_or_path
        remote = RemoteCode.take(kwargs)
        options, rest = LoadOptions.take(kwargs)
        beside = source
        if source is not None and os.path.isfile(source):
            beside = os.path.dirname(source)
        config = config_for(
            beside,
            options.config,
            return_unused_kwargs=True,
            **options.where,
            **rest,
            **remote.arguments,
        )
        config, unused = config if isinstance(config, tuple) else (config, rest)
        commit = getattr(config, "_commit_hash", None) if options.config is None else None
        model_class = cls._class_for(config, source, remote, **options.where, commit_hash=commit)
        for_loading = {name: value for name, value in kwargs.items() if name not in rest}
        for_loading |= {**unused, "config": own_config(config, model_class)}
        return model_class.from_pretrained(source, *model_args, **for_loading)

    @classmethod
    def register(cls, config_class: type, model_class: type, exist_ok: bool = False) -> None:
        """Let this auto class pick `model_class` for `config_class`, in this process.

        Raises:
            ConfigError: the model's own ``config_class`` is another one.
            PluginConflictError: something is picked already and `exist_ok` is False.
        """
        own = getattr(model_class, "config_class", None)
        if own is not None and own.__name__ != config_class.__name__:
            raise ConfigError(
                f"{model_class.__name__}.config_class is {own.__name__}, and it is registered for "
                f"{config_class.__name__}. Make them equal."
            )
        register(cls.__name__, config_class, model_class, exist_ok=exist_ok)

    @classmethod
    def _class_for(cls, config: Any, source: Any, remote: RemoteCode, **where: Any) -> Any:
        found = pick(cls.__name__, type(config))
        own = remote.find(
            cls.__name__, auto_map_of(config), source, local=found is not None, **where
        )
        if own is not None:
            return own
        if found is None:
            raise unfit(cls.__name__, config)
        return found


class AutoModel(AutoClass):
    """Picks the body of an architecture, without a task head."""


class AutoModelForPreTraining(AutoClass):
    """Picks the model with the heads it was pre-trained with."""


class AutoModelForCausalLM(AutoClass):
    """Picks a model that continues text."""


class AutoModelForMaskedLM(AutoClass):
    """Picks a model that fills masked tokens."""


class AutoModelForSeq2SeqLM(AutoClass):
    """Picks an encoder-decoder that writes text."""


class AutoModelForSequenceClassification(AutoClass):
    """Picks a model that classifies texts."""


class AutoModelForTokenClassification(AutoClass):
    """Picks a model that classifies tokens."""


class AutoModelForQuestionAnswering(AutoClass):
    """Picks a model that marks answers in a text."""


class AutoModelForTableQuestionAnswering(AutoClass):
    """Picks a model that answers questions about a table."""


class AutoModelForMultipleChoice(AutoClass):
    """Picks a model that chooses among texts."""


class AutoModelForNextSentencePrediction(AutoClass):
    """Picks a model that tells whether one text follows another."""


class AutoModelForTextEncoding(AutoClass):
    """Picks the text encoder of an architecture."""


class AutoModelForVisualQuestionAnswering(AutoClass):
    """Picks a model that answers questions about a picture."""


class AutoModelForDocumentQuestionAnswering(AutoClass):
    """Picks a model that answers questions about a scanned document."""


class AutoModelForImageTextToText(AutoClass):
    """Picks a model that writes text about pictures and text."""


class AutoModelForVision2Seq(AutoClass):
    """Picks a model that writes text about pictures."""


class AutoModelForImageClassification(AutoClass):
    """Picks a model that classifies pictures."""


class AutoModelForZeroShotImageClassification(AutoClass):
    """Picks a model that matches pictures with texts."""


class AutoModelForImageSegmentation(AutoClass):
    """Picks a model that segments pictures."""


class AutoModelForSemanticSegmentation(AutoClass):
    """Picks a model that classifies pixels."""


class AutoModelForInstanceSegmentation(AutoClass):
    """Picks a model that outlines objects."""


class AutoModelForUniversalSegmentation(AutoClass):
    """Picks a model for all kinds of segmentation."""


class AutoModelForMaskGeneration(AutoClass):
    """Picks a model that outlines what a prompt points at."""


class AutoModelForObjectDetection(AutoClass):
    """Picks a model that finds objects."""


class AutoModelForZeroShotObjectDetection(AutoClass):
    """Picks a model that finds objects named in a text."""


class AutoModelForDepthEstimation(AutoClass):
    """Picks a model that estimates distances."""


class AutoModelForKeypointDetection(AutoClass):
    """Picks a model that finds points of interest."""


class AutoModelForMaskedImageModeling(AutoClass):
    """Picks a model that fills masked patches."""


class AutoModelForImageToImage(AutoClass):
    """Picks a model that changes pictures."""


class AutoModelForVideoClassification(AutoClass):
    """Picks a model that classifies videos."""


class AutoModelForAudioClassification(AutoClass):
    """Picks a model that classifies sounds."""


class AutoModelForAudioFrameClassification(AutoClass):
    """Picks a model that classifies moments of a sound."""


class AutoModelForAudioXVector(AutoClass):
    """Picks a model that tells speakers apart."""


class AutoModelForCTC(AutoClass):
    """Picks a model that transcribes speech frame by frame."""


class AutoModelForSpeechSeq2Seq(AutoClass):
    """Picks an encoder-decoder that transcribes speech."""


class AutoModelForTextToSpectrogram(AutoClass):
    """Picks a model that turns text into a spectrogram."""


class AutoModelForTextToWaveform(AutoClass):
    """Picks a model that turns text into sound."""


class AutoBackbone(AutoClass):
    """Picks a picture model that returns feature maps."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        use_timm_backbone: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The backbone of a checkpoint; `out_features` or `out_indices` choose its stages.

        Raises:
            UnknownNameError, MissingPluginError: `use_timm_backbone`, and no plugin that is
                installed holds ``timm_backbone``.
        """
        if use_timm_backbone:
            declared = registry.models().get("timm_backbone")
            config = registry.resolve(declared.config)(
                backbone=str(pretrained_model_name_or_path), **kwargs
            )
            return cls.from_config(config)
        return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)


class AutoModelWithLMHead(AutoClass):
    """Picks a model with a language modelling head; superseded by three more exact classes."""

    @classmethod
    def from_config(cls, config: Any, **kwargs: Any) -> Any:
        """A model with fresh weights; warns that the class is superseded."""
        _superseded()
        return super().from_config(config, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        **kwargs: Any,
    ) -> Any:
        """The model of a checkpoint; warns that the class is superseded."""
        _superseded()
        return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)


def own_config(config: Any, model_class: Any) -> Any:
    """The part of `config` that `model_class` is made by, where it is a part that the class was
    picked for; else all of it."""
    wanted = getattr(model_class, "config_class", None)
    if wanted is None or isinstance(config, wanted):
        return config
    parts = [name for name, kind in type(config).sub_configs.items() if kind is wanted]
    return getattr(config, parts[0]) if len(parts) == 1 else config


def _superseded() -> None:
    warnings.warn(
        "AutoModelWithLMHead is superseded: use AutoModelForCausalLM, AutoModelForMaskedLM or "
        "AutoModelForSeq2SeqLM.",
        FutureWarning,
        stacklevel=3,
    )


MODEL_MAPPING = AutoModel._model_mapping
MODEL_FOR_PRETRAINING_MAPPING = AutoModelForPreTraining._model_mapping
MODEL_FOR_CAUSAL_LM_MAPPING = AutoModelForCausalLM._model_mapping
MODEL_FOR_MASKED_LM_MAPPING = AutoModelForMaskedLM._model_mapping
MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING = AutoModelForSeq2SeqLM._model_mapping
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING = AutoModelForSequenceClassification._model_mapping
MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING = AutoModelForTokenClassification._model_mapping
MODEL_FOR_QUESTION_ANSWERING_MAPPING = AutoModelForQuestionAnswering._model_mapping
MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING = AutoModelForTableQuestionAnswering._model_mapping
MODEL_FOR_MULTIPLE_CHOICE_MAPPING = AutoModelForMultipleChoice._model_mapping
MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING = AutoModelForNextSentencePrediction._model_mapping
MODEL_FOR_TEXT_ENCODING_MAPPING = AutoModelForTextEncoding._model_mapping
MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING = AutoModelForVisualQuestionAnswering._model_mapping
MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING = AutoModelForDocumentQuestionAnswering._model_mapping
MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING = AutoModelForImageTextToText._model_mapping
MODEL_FOR_VISION_2_SEQ_MAPPING = AutoModelForVision2Seq._model_mapping
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING = AutoModelForImageClassification._model_mapping
MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING = (
    AutoModelForZeroShotImageClassification._model_mapping
)
MODEL_FOR_IMAGE_SEGMENTATION_MAPPING = AutoModelForImageSegmentation._model_mapping
MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING = AutoModelForSemanticSegmentation._model_mapping
MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING = AutoModelForInstanceSegmentation._model_mapping
MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING = AutoModelForUniversalSegmentation._model_mapping
MODEL_FOR_MASK_GENERATION_MAPPING = AutoModelForMaskGeneration._model_mapping
MODEL_FOR_OBJECT_DETECTION_MAPPING = AutoModelForObjectDetection._model_mapping
MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING = AutoModelForZeroShotObjectDetection._model_mapping
MODEL_FOR_DEPTH_ESTIMATION_MAPPING = AutoModelForDepthEstimation._model_mapping
MODEL_FOR_KEYPOINT_DETECTION_MAPPING = AutoModelForKeypointDetection._model_mapping
MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING = AutoModelForMaskedImageModeling._model_mapping
MODEL_FOR_IMAGE_TO_IMAGE_MAPPING = AutoModelForImageToImage._model_mapping
MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING = AutoModelForVideoClassification._model_mapping
MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING = AutoModelForAudioClassification._model_mapping
MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING = AutoModelForAudioFrameClassification._model_mapping
MODEL_FOR_AUDIO_XVECTOR_MAPPING = AutoModelForAudioXVector._model_mapping
MODEL_FOR_CTC_MAPPING = AutoModelForCTC._model_mapping
MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING = AutoModelForSpeechSeq2Seq._model_mapping
MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING = AutoModelForTextToSpectrogram._model_mapping
MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING = AutoModelForTextToWaveform._model_mapping
MODEL_FOR_BACKBONE_MAPPING = AutoBackbone._model_mapping
MODEL_WITH_LM_HEAD_MAPPING = AutoModelWithLMHead._model_mapping
MODEL_FOR_IMAGE_MAPPING = ClassMapping("AutoModelForImage")
MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING = ClassMapping("AutoModelForCausalImageModeling")
MODEL_FOR_TIME_SERIES_CLASSIFICATION_MAPPING = ClassMapping("AutoModelForTimeSeriesClassification")
MODEL_FOR_TIME_SERIES_REGRESSION_MAPPING = ClassMapping("AutoModelForTimeSeriesRegression")


def __getattr__(name: str) -> Any:
    """``MODEL_..._MAPPING_NAMES``: model type to class name, for each of the mappings above."""
    mapping = globals().get(name.removesuffix("_NAMES"))
    if name.endswith("_NAMES") and isinstance(mapping, ClassMapping):
        return ClassNames(mapping.slot)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
