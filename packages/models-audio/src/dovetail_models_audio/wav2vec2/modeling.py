"""Wav2Vec 2.0: speech from raw samples (arXiv 2006.11477).

Convolutions make frames of samples, a Transformer reads the frames. Where padding is hidden
depends on the checkpoint: those with group norms hear its silence. B batch, S samples, T frames, C
channels, D width.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.heads import STATES
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import MaskedLMOutput, ModelOutput, Tensors
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_audio.wav2vec2.adapters import LanguageAdapters
from dovetail_models_audio.wav2vec2.configuration import Wav2Vec2Config
from dovetail_models_audio.wav2vec2.encoder import (
    WEIGHT_NORM,
    ConvAdapter,
    SpeechEncoder,
    WeightNormConv,
)
from dovetail_models_audio.wav2vec2.features import (
    FeatureEncoder,
    FeatureProjection,
    check_samples,
    convolved,
    frame_mask,
)
from dovetail_models_audio.wav2vec2.heads import (
    AMSoftmaxLoss,
    ForCTC,
    ForFrameClassification,
    ForSoundClassification,
    ForSpeakers,
    SpeechHead,
)
from dovetail_models_audio.wav2vec2.masking import span_mask
from dovetail_models_audio.wav2vec2.quantization import GumbelVectorQuantizer


@dataclass
class Wav2Vec2BaseModelOutput(ModelOutput):
    """States (B, T, D), and the normalized frames (B, T, C) that they are made of."""

    last_hidden_state: Tensor | None = None
    extract_features: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class Wav2Vec2ForPreTrainingOutput(ModelOutput):
    """The losses, and the vectors (B, T, D) that are compared."""

    loss: Tensor | None = None
    projected_states: Tensor | None = None
    projected_quantized_states: Tensor | None = None
    codevector_perplexity: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    contrastive_loss: Tensor | None = None
    diversity_loss: Tensor | None = None


class Wav2Vec2PreTrainedModel(LanguageAdapters, PreTrainedModel):
    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"
    main_input_name = "input_values"
    input_embeddings = "feature_extractor"
    weight_mapping: ClassVar[tuple[Any, ...]] = WEIGHT_NORM
    _no_split_modules: ClassVar[list[str]] = ["SpeechLayer", "StableLayer"]

    def freeze_feature_encoder(self) -> None:
        """Leave the convolutions as they are in training."""
        self.base_model.feature_extractor.requires_grad_(False)

    def freeze_feature_extractor(self) -> None:
        """Retired name of `freeze_feature_encoder`."""
        warnings.warn(
            "freeze_feature_extractor is retired: call freeze_feature_encoder.",
            FutureWarning,
            stacklevel=2,
        )
        self.freeze_feature_encoder()

    def _get_feat_extract_output_lengths(
        self, input_lengths: Any, add_adapter: bool | None = None
    ) -> Any:
        """How many frames sounds of `input_lengths` samples have, behind the adapter if there is
        one."""
        config = self.config
        length = convolved(input_lengths, config.conv_kernel, config.conv_stride)
        if config.add_adapter if add_adapter is None else add_adapter:
            layers = config.num_adapter_layers
            length = convolved(length, [1] * layers, [config.adapter_stride] * layers)
        return length

    def _get_feature_vector_attention_mask(
        self, feature_vector_length: int, attention_mask: Tensor, add_adapter: bool | None = None
    ) -> Tensor:
        """Which of so many frames (B, T) are of the samples that `attention_mask` (B, S) has."""
        lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1), add_adapter)
        return frame_mask(lengths, feature_vector_length)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, WeightNormConv):
            inputs = module.weight_v.shape[1] * module.groups
            nn.init.normal_(module.weight_v, std=2 * math.sqrt(1 / (module.kernel * inputs)))
            lengths = torch.linalg.vector_norm(module.weight_v.data, dim=(0, 1), keepdim=True)
            module.weight_g.data.copy_(lengths)
            nn.init.zeros_(module.bias)
        elif isinstance(module, FeatureProjection):
            bound = math.sqrt(1 / module.projection.in_features)
            nn.init.uniform_(module.projection.weight, -bound, bound)
            nn.init.uniform_(module.projection.bias, -bound, bound)
            module.projection._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, GumbelVectorQuantizer):
            nn.init.uniform_(module.codevectors)
            nn.init.normal_(module.weight_proj.weight)
            nn.init.zeros_(module.weight_proj.bias)
            module.weight_proj._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, AMSoftmaxLoss):
            nn.init.normal_(module.weight)
        elif isinstance(getattr(module, "masked_spec_embed", None), nn.Parameter):
            nn.init.uniform_(module.masked_spec_embed)  # type: ignore[arg-type]
        elif isinstance(getattr(module, "layer_weights", None), nn.Parameter):
            nn.init.constant_(module.layer_weights, 1 / len(module.layer_weights))  # type: ignore[arg-type]


class Wav2Vec2Model(Wav2Vec2PreTrainedModel):
    """The encoder."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.feature_extractor = FeatureEncoder(config)
        self.feature_projection = FeatureProjection(config)
        if config.mask_time_prob or config.mask_feature_prob:
            self.masked_spec_embed = nn.Parameter(torch.zeros(config.hidden_size))
        self.encoder = SpeechEncoder(config)
        self.adapter = ConvAdapter(config) if config.add_adapter else None
        self.post_init()

    @backbone
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> Wav2Vec2BaseModelOutput:
        """States (B, T, D) of samples (B, S), and the frames (B, T, C) that they are made of.

        `attention_mask` (B, S) hides padding; `mask_time_indices` (B, T) says which frames are to
        be hidden, in place of SpecAugment's draws in training.

        Raises:
            ValueError: no samples (B, S), or too few for a frame.
        """
        check_samples(input_values, self.config)
        frames = self.feature_extractor(input_values).mT
        mask = None
        if attention_mask is not None:
            mask = self._get_feature_vector_attention_mask(frames.shape[1], attention_mask, False)
        hidden_states, features = self.feature_projection(frames)
        hidden_states = self._mask_hidden_states(hidden_states, mask_time_indices, mask)
        context = self.encoder_context(hidden_states, mask, recorder=recorder)
        hidden_states = self.encoder.prepare(hidden_states, mask)
        hidden_states = self.run_layers(
            self.encoder.layers, hidden_states, context, self.config.layerdrop
        )
        hidden_states = self.encoder.finish(hidden_states)
        if recorder is not None:
            recorder.add_last_hidden_state(hidden_states)
        if self.adapter is not None:
            hidden_states = self.adapter(hidden_states)
        return Wav2Vec2BaseModelOutput(hidden_states, features)

    def _mask_hidden_states(
        self, hidden_states: Tensor, chosen: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """Frames (B, T, D) with those that are `chosen` (B, T), or drawn, replaced by one vector,
        and channels that are drawn by zeros."""
        config = self.config
        if not config.apply_spec_augment:
            return hidden_states
        batch, length, width = hidden_states.shape
        if chosen is None and self.training and config.mask_time_prob:
            lengths = None if mask is None else mask.sum(-1)
            chosen = span_mask(
                (batch, length),
                config.mask_time_prob,
                config.mask_time_length,
                lengths,
                config.mask_time_min_masks,
            )
        if chosen is not None:
            chosen = chosen.bool().to(hidden_states.device)[..., None]
            embedding = self.masked_spec_embed.to(hidden_states.dtype)
            hidden_states = torch.where(chosen, embedding, hidden_states)
        if self.training and config.mask_feature_prob:
            channels = span_mask(
                (batch, width),
                config.mask_feature_prob,
                config.mask_feature_length,
                least=config.mask_feature_min_masks,
            )
            hidden_states = hidden_states.masked_fill(channels[:, None].to(hidden_states.device), 0)
        return hidden_states


class Wav2Vec2ForPreTraining(SpeechHead, Wav2Vec2PreTrainedModel):
    """Tells, at each hidden frame, its quantized features from those of other frames."""

    def build_head(self) -> None:
        config = self.config
        self.dropout_features = nn.Dropout(config.feat_quantizer_dropout)
        self.quantizer = GumbelVectorQuantizer(config)
        self.project_hid = Linear(config.hidden_size, config.proj_codevector_dim)
        self.project_q = Linear(config.codevector_dim, config.proj_codevector_dim)

    def set_gumbel_temperature(self, temperature: float) -> None:
        """Set how far from the likeliest the quantizer's draws are in training."""
        self.quantizer.temperature = temperature

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        sampled_negative_indices: Tensor | None = None,
        **options: Any,
    ) -> Wav2Vec2ForPreTrainingOutput:
        """Projected states and quantized features (B, T, D), and the loss where frames are hidden
        (`mask_time_indices` (B, T)) and others to compare with are given
        (`sampled_negative_indices` (B, T, N), indices into the frames of the whole batch)."""
        hidden = None if mask_time_indices is None else mask_time_indices.bool()
        options = {**options, "mask_time_indices": hidden}
        outputs = self.encode(input_values, attention_mask, options)
        states = self.project_hid(outputs[0])
        vectors, perplexity = self.quantizer(self.dropout_features(outputs[1]), hidden)
        vectors = self.project_q(vectors)
        loss = contrastive = diversity = None
        if sampled_negative_indices is not None:
            if hidden is None:
                raise ValueError("sampled_negative_indices need mask_time_indices: give both.")
            contrastive = self.contrastive_loss(states, vectors, sampled_negative_indices, hidden)
            entries = self.quantizer.groups * self.quantizer.entries
            diversity = (entries - perplexity) / entries * hidden.sum()
            loss = contrastive + self.config.diversity_loss_weight * diversity
        return Wav2Vec2ForPreTrainingOutput(
            loss=loss,
            projected_states=states,
            projected_quantized_states=vectors,
            codevector_perplexity=perplexity,
            contrastive_loss=contrastive,
            diversity_loss=diversity,
            **self.recorded(outputs, STATES),
        )

    def contrastive_loss(
        self, states: Tensor, vectors: Tensor, negatives: Tensor, hidden: Tensor
    ) -> Tensor:
        """Cross-entropy, at `hidden` frames, of telling the frame's own vector from `negatives`."""
        others = vectors.flatten(0, 1)[negatives.long()]  # (B, T, N, D)
        same = (others == vectors[:, :, None]).all(-1)
        candidates = torch.cat([vectors[:, :, None], others], dim=2)
        logits = F.cosine_similarity(states[:, :, None].float(), candidates.float(), dim=-1)
        logits = logits / self.config.contrastive_logits_temperature
        logits = logits.masked_fill(F.pad(same, (1, 0)), -math.inf)[hidden]
        return F.cross_entropy(logits, logits.new_zeros(len(logits)).long(), reduction="sum")


class Wav2Vec2ForCTC(ForCTC, Wav2Vec2PreTrainedModel):
    """Transcription; `from_pretrained` takes `target_lang`, whose adapter is loaded too."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any
    ) -> Any:
        """As of all models; the head is fitted to the vocabulary of `target_lang`."""
        language = kwargs.pop("target_lang", None)
        loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        if language is not None:
            model = loaded[0] if isinstance(loaded, tuple) else loaded
            model.load_adapter(language)
        return loaded


class Wav2Vec2ForMaskedLM(SpeechHead, Wav2Vec2PreTrainedModel):
    """Logits of each frame, without a loss."""

    def build_head(self) -> None:
        self.dropout = nn.Dropout(self.config.final_dropout)
        self.lm_head = Linear(self.config.hidden_size, self.config.vocab_size)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> MaskedLMOutput:
        """Logits (B, T, V) of samples (B, S)."""
        outputs = self.encode(input_values, attention_mask, options)
        logits = self.lm_head(self.dropout(outputs[0]))
        return MaskedLMOutput(logits=logits, **self.recorded(outputs, STATES))


class Wav2Vec2ForSequenceClassification(ForSoundClassification, Wav2Vec2PreTrainedModel):
    """The class of a sound."""


class Wav2Vec2ForAudioFrameClassification(ForFrameClassification, Wav2Vec2PreTrainedModel):
    """Classes of each frame."""


class Wav2Vec2ForXVector(ForSpeakers, Wav2Vec2PreTrainedModel):
    """Embeddings of speakers."""
