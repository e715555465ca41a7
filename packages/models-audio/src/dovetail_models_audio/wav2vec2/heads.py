"""Task heads of the speech encoders: transcription frame by frame, classes of sounds and of frames,
and embeddings of speakers. Each adds its layers to a body that gives ``last_hidden_state``.

B batch, S samples, T frames, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.errors import ConfigError
from dovetail.heads import STATES, TaskHead
from dovetail.layers.projections import Linear
from dovetail.outputs import (
    CausalLMOutput,
    ModelOutput,
    SequenceClassifierOutput,
    Tensors,
    TokenClassifierOutput,
)
from dovetail.recording import task_head
from dovetail_models_audio.wav2vec2.features import frame_mask


@dataclass
class XVectorOutput(ModelOutput):
    """`embeddings` (B, D) of speakers, and logits (B, D) of these."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    embeddings: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class SpeechHead(TaskHead):
    """A head over the frames of a speech encoder."""

    def freeze_base_model(self) -> None:
        """Train the head alone."""
        self.base_model.requires_grad_(False)

    def encode(
        self, input_values: Tensor, attention_mask: Tensor | None, options: Mapping[str, Any]
    ) -> Any:
        """What the body gives."""
        return self.base_model(input_values, attention_mask, return_dict=True, **options)


class ForCTC(SpeechHead):
    """Transcription: logits of each frame, trained by connectionist temporal classification."""

    def build_head(self) -> None:
        self.dropout = nn.Dropout(self.config.final_dropout)
        self.lm_head = Linear(self.config.encoded_size, self.config.vocab_size)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of samples (B, S); the loss of `labels` (B, L), of which negative ones
        do not count.

        Raises:
            ValueError: labels that are not in the vocabulary.
        """
        if labels is not None and labels.numel() and labels.max() >= self.config.vocab_size:
            raise ValueError(
                f"labels hold {int(labels.max())}, but config.vocab_size={self.config.vocab_size}: "
                "encode the texts by this checkpoint's tokenizer."
            )
        outputs = self.encode(input_values, attention_mask, options)
        logits = self.lm_head(self.dropout(outputs[0]))
        loss = None
        if labels is not None:
            lengths = self.frame_lengths(input_values, attention_mask)
            loss = self.ctc_loss(logits, lengths, labels)
        return CausalLMOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))

    def frame_lengths(self, input_values: Tensor, attention_mask: Tensor | None) -> Tensor:
        """How many frames (B,) each sound has."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_values, dtype=torch.long)
        return self._get_feat_extract_output_lengths(attention_mask.sum(-1))  # type: ignore[operator]

    def ctc_loss(self, logits: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """Minus the log probability of `labels` given the first `lengths` (B,) of logits
        (B, T, V)."""
        config, counted = self.config, labels >= 0
        log_probabilities = logits.log_softmax(-1, dtype=torch.float32).transpose(0, 1)
        with torch.backends.cudnn.flags(enabled=False):
            return F.ctc_loss(
                log_probabilities,
                labels[counted],
                lengths,
                counted.sum(-1),
                blank=config.pad_token_id,
                reduction=config.ctc_loss_reduction,
                zero_infinity=config.ctc_zero_infinity,
            )


class WeightedLayers(SpeechHead):
    """Reads the last layer or, with ``config.use_weighted_layer_sum``, a learned mean of all."""

    def build_head(self) -> None:
        if self.config.add_adapter:
            raise ConfigError(
                f"{type(self).__name__} reads what the encoder gives, so that it takes no "
                "convolutional adapter: set add_adapter=False."
            )
        if self.config.use_weighted_layer_sum:
            count = self.config.num_hidden_layers + 1
            self.layer_weights = nn.Parameter(torch.full((count,), 1 / count))

    def frames(
        self, input_values: Tensor, attention_mask: Tensor | None, options: Mapping[str, Any]
    ) -> tuple[Tensor, ModelOutput]:
        """Frames (B, T, D), and the body's output."""
        weighted = self.config.use_weighted_layer_sum
        forced = {"output_hidden_states": True} if weighted else {}
        outputs = self.encode(input_values, attention_mask, {**options, **forced})
        if not weighted:
            return outputs[0], outputs
        states = torch.stack(outputs.hidden_states, dim=1)
        shares = self.layer_weights.softmax(-1)
        return (states * shares.view(-1, 1, 1)).sum(dim=1), outputs


class ForSoundClassification(WeightedLayers):
    """The class of a sound, by the mean of its frames."""

    def build_head(self) -> None:
        super().build_head()
        self.projector = Linear(self.config.hidden_size, self.config.classifier_proj_size)
        self.classifier = Linear(self.config.classifier_proj_size, self.num_labels)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits (B, labels) of samples (B, S), and their cross-entropy with `labels` (B,)."""
        frames, outputs = self.frames(input_values, attention_mask, options)
        projected = self.projector(frames)
        if attention_mask is None:
            pooled = projected.mean(dim=1)
        else:
            mask = self._get_feature_vector_attention_mask(projected.shape[1], attention_mask)  # type: ignore[operator]
            pooled = projected.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True)
        logits = self.classifier(pooled)
        loss = None if labels is None else F.cross_entropy(logits, labels.view(-1))
        return SequenceClassifierOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ForFrameClassification(WeightedLayers):
    """Classes of each frame: who speaks when, say."""

    def build_head(self) -> None:
        super().build_head()
        self.classifier = Linear(self.config.hidden_size, self.num_labels)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits (B, T, labels) of samples (B, S), and their cross-entropy with the largest of the
        `labels` (B, T, labels) of each frame."""
        frames, outputs = self.frames(input_values, attention_mask, options)
        logits = self.classifier(frames)
        loss = None
        if labels is not None:
            classes = labels.reshape(-1, self.num_labels).argmax(dim=1)
            loss = F.cross_entropy(logits.reshape(-1, self.num_labels), classes)
        return TokenClassifierOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class TimeDelayLayer(nn.Module):
    """A dilated convolution over frames (B, T, D), whose weights are stored as a projection's."""

    def __init__(self, before: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.size, self.dilation = kernel, dilation
        self.kernel = Linear(before * kernel, width)

    def forward(self, hidden_states: Tensor) -> Tensor:
        weight = self.kernel.weight.unflatten(1, (self.size, -1)).mT
        bias = self.kernel.bias
        return F.relu(F.conv1d(hidden_states.mT, weight, bias, dilation=self.dilation).mT)


class AMSoftmaxLoss(nn.Module):
    """Cross-entropy of cosines, from which the right class must keep a margin (arXiv
    1801.05599)."""

    def __init__(self, width: int, labels: int, scale: float = 30.0, margin: float = 0.4) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.randn(width, labels))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of embeddings (B, D) and `labels` (B,)."""
        labels = labels.flatten()
        cosines = F.normalize(embeddings, dim=1) @ F.normalize(self.weight, dim=0)
        right = F.one_hot(labels, cosines.shape[1])
        return F.cross_entropy(self.scale * (cosines - self.margin * right), labels)


class ForSpeakers(WeightedLayers):
    """X-vectors (Snyder et al., 2018): what the frames have in common, as one vector."""

    def build_head(self) -> None:
        super().build_head()
        config = self.config
        widths = config.tdnn_dim
        self.projector = Linear(config.hidden_size, widths[0])
        sizes = zip(
            (widths[0], *widths), widths, config.tdnn_kernel, config.tdnn_dilation, strict=False
        )
        self.tdnn = nn.ModuleList(TimeDelayLayer(*size) for size in sizes)
        self.feature_extractor = Linear(2 * widths[-1], config.xvector_output_dim)
        self.classifier = Linear(config.xvector_output_dim, config.xvector_output_dim)
        self.objective = AMSoftmaxLoss(config.xvector_output_dim, config.num_labels)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **options: Any,
    ) -> ModelOutput:
        """Embeddings and logits (B, D) of samples (B, S), and the loss of `labels` (B,).

        Raises:
            ValueError: sounds shorter than what the time-delay layers see at once.
        """
        frames, outputs = self.frames(input_values, attention_mask, options)
        hidden_states = self.projector(frames)
        least = 1 + sum((layer.size - 1) * layer.dilation for layer in self.tdnn)  # type: ignore[operator, misc]
        if hidden_states.shape[1] < least:
            raise ValueError(
                f"The sounds have {hidden_states.shape[1]} frames, where an x-vector needs "
                f"{least}: give longer sounds."
            )
        for layer in self.tdnn:
            hidden_states = layer(hidden_states)
        embeddings = self.feature_extractor(self.statistics(hidden_states, attention_mask))
        logits = self.classifier(embeddings)
        loss = None if labels is None else self.objective(logits, labels)
        return XVectorOutput(loss, logits, embeddings, **self.recorded(outputs, STATES))

    def statistics(self, hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Means and standard deviations (B, 2 D) of the frames (B, T, D).

        Lengths shrink by the layers' kernels as if they were not dilated, by which checkpoints
        were trained.
        """
        if attention_mask is None:
            return torch.cat([hidden_states.mean(dim=1), hidden_states.std(dim=1)], dim=-1)
        lengths = self._get_feat_extract_output_lengths(attention_mask.sum(1))  # type: ignore[operator]
        for layer in self.tdnn:
            lengths = lengths - (layer.size - 1)  # type: ignore[operator]
        lengths = lengths.clamp(max=hidden_states.shape[1])
        mask = frame_mask(lengths, hidden_states.shape[1])[..., None]
        count = lengths[:, None]
        mean = hidden_states.masked_fill(~mask, 0).sum(1) / count
        spread = (hidden_states - mean[:, None]).masked_fill(~mask, 0).square().sum(1)
        return torch.cat([mean, (spread / (count - 1)).sqrt()], dim=-1)
