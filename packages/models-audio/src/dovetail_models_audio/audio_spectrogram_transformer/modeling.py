"""The Audio Spectrogram Transformer: sounds told apart by ViT (arXiv 2104.01778).

A spectrogram is read as a picture of one channel, upright and in patches that overlap. Two tokens
stand for the whole: one for the classes, one for what DeiT's distillation taught. B batch, T
frames, M mel bins, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.heads import TaskHead
from dovetail.layers.projections import Linear
from dovetail.layers.vit import ViTEncoder
from dovetail.losses import sequence_classification_loss
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_audio.audio_spectrogram_transformer.configuration import ASTConfig


class ASTPatchEmbeddings(nn.Module):
    """Cuts spectrograms into patches and projects each of them."""

    def __init__(self, config: ASTConfig) -> None:
        super().__init__()
        strides = config.frequency_stride, config.time_stride
        self.projection = nn.Conv2d(1, config.hidden_size, config.patch_size, stride=strides)

    def forward(self, input_values: Tensor) -> Tensor:
        """Patches (B, N, D), one band of frequencies after the other, of spectrograms (B, T, M)."""
        upright = input_values.to(self.projection.weight.dtype).transpose(1, 2)[:, None]
        return self.projection(upright).flatten(2).transpose(1, 2)


class ASTEmbeddings(nn.Module):
    """Patches with their positions, behind the two tokens that stand for the whole."""

    def __init__(self, config: ASTConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.shape = (config.max_length, config.num_mel_bins)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embeddings = ASTPatchEmbeddings(config)
        rows = (config.num_mel_bins - patch) // config.frequency_stride + 1
        columns = (config.max_length - patch) // config.time_stride + 1
        self.position_embeddings = nn.Parameter(torch.zeros(1, rows * columns + 2, width))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_values: Tensor) -> Tensor:
        """Tokens (B, 2 + N, D) of spectrograms (B, T, M).

        Raises:
            ValueError: spectrograms of another length or of other mel bins.
        """
        shape = tuple(input_values.shape)
        if len(shape) != 3 or shape[1:] != self.shape:
            raise ValueError(
                f"input_values of shape {shape} must be (batch, {self.shape[0]}, {self.shape[1]}), "
                "frames by mel bins: make them by the checkpoint's feature extractor."
            )
        patches = self.patch_embeddings(input_values)
        first = (self.cls_token, self.distillation_token)
        tokens = torch.cat([*(token.expand(len(patches), -1, -1) for token in first), patches], 1)
        return self.dropout(tokens + self.position_embeddings)


class ASTMLPHead(nn.Module):
    """A norm and a linear layer; without labels, the norm alone."""

    def __init__(self, config: ASTConfig) -> None:
        super().__init__()
        width, labels = config.hidden_size, config.num_labels
        self.layernorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dense = Linear(width, labels) if labels else nn.Identity()

    def forward(self, pooled: Tensor) -> Tensor:
        return self.dense(self.layernorm(pooled))


class ASTPreTrainedModel(PreTrainedModel):
    config_class = ASTConfig
    base_model_prefix = "audio_spectrogram_transformer"
    main_input_name = "input_values"
    input_embeddings = "embeddings.patch_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["ASTEmbeddings", "ViTLayer"]


class ASTModel(ASTPreTrainedModel):
    """The encoder; what it pools is the mean of the first two tokens."""

    def __init__(self, config: ASTConfig) -> None:
        super().__init__(config)
        self.embeddings = ASTEmbeddings(config)
        self.encoder = ViTEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        self.encoder.prune_heads(heads_to_prune)

    @backbone
    def forward(
        self,
        input_values: Tensor,
        head_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Tokens (B, 2 + N, D) of spectrograms (B, T, M), the first two of which stand for the
        whole, and the mean of these (B, D)."""
        tokens = self.embeddings(input_values)
        context = self.encoder_context(tokens, None, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, tokens, context, record_last=True)
        hidden_states = self.layernorm(hidden_states)
        return BaseModelOutputWithPooling(hidden_states, hidden_states[:, :2].mean(1))


class ASTForAudioClassification(TaskHead, ASTPreTrainedModel):
    """A norm and a linear layer over what is pooled."""

    def build_head(self) -> None:
        self.classifier = ASTMLPHead(self.config)

    @task_head
    def forward(
        self,
        input_values: Tensor,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Logits (B, labels) of spectrograms (B, T, M) and the loss by ``config.problem_type``."""
        outputs = self.base_model(input_values, head_mask=head_mask, return_dict=True, **kwargs)
        logits = self.classifier(outputs.pooler_output)
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        states = self.recorded(outputs, ("hidden_states", "attentions"))
        return SequenceClassifierOutput(loss=loss, logits=logits, **states)
