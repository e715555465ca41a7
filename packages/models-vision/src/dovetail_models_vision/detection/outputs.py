"""What detection transformers return.

``logits`` are (B, Q, classes), ``pred_boxes`` (B, Q, 4) by center and size as parts of the picture,
``pred_masks`` (B, Q, H, W), ``intermediate_hidden_states`` (layers, B, Q, D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from dovetail.outputs import (
    BaseModelOutputWithCrossAttentions,
    ModelOutput,
    Seq2SeqModelOutput,
    Tensors,
)


@dataclass
class DetrDecoderOutput(BaseModelOutputWithCrossAttentions):
    """Of a decoder."""

    intermediate_hidden_states: Tensor | None = None


@dataclass
class DetrModelOutput(Seq2SeqModelOutput):
    """Of a body."""

    intermediate_hidden_states: Tensor | None = None


@dataclass
class DetrObjectDetectionOutput(ModelOutput):
    """Of a detector; `loss_dict` holds the parts of the loss, unweighed."""

    loss: Tensor | None = None
    loss_dict: dict[str, Any] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class DetrSegmentationOutput(ModelOutput):
    """Of a detector that draws masks, too."""

    loss: Tensor | None = None
    loss_dict: dict[str, Any] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_masks: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class DeformableDetrDecoderOutput(BaseModelOutputWithCrossAttentions):
    """Of a decoder that refines reference points: (B, layers, Q, 2 or 4) after each layer, as are
    states (B, layers, Q, D)."""

    intermediate_hidden_states: Tensor | None = None
    intermediate_reference_points: Tensor | None = None


@dataclass
class DeformableDetrModelOutput(ModelOutput):
    """Of a body; `enc_outputs_class` (B, S, classes) and `enc_outputs_coord_logits` (B, S, 4) are
    what the first of two stages proposes."""

    init_reference_points: Tensor | None = None
    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None
    enc_outputs_class: Tensor | None = None
    enc_outputs_coord_logits: Tensor | None = None


@dataclass
class DeformableDetrObjectDetectionOutput(ModelOutput):
    """Of a detector, with what its body returns."""

    loss: Tensor | None = None
    loss_dict: dict[str, Any] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    init_reference_points: Tensor | None = None
    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None
    enc_outputs_class: Tensor | None = None
    enc_outputs_coord_logits: Tensor | None = None


@dataclass
class RTDetrDecoderOutput(ModelOutput):
    """Of RT-DETR's decoder: after each layer states (B, layers, Q, D), logits and boxes."""

    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_logits: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class RTDetrModelOutput(ModelOutput):
    """Of RT-DETR's body; `encoder_last_hidden_state` is a list of maps (B, D, H, W).

    `enc_outputs_class` (B, S, classes) and `enc_outputs_coord_logits` (B, S, 4) are what the
    encoder proposes, `enc_topk_logits` and `enc_topk_bboxes` the best of it, from which
    `init_reference_points` (B, Q, 4) come, as logits. `denoising_meta_values` are there in training
    with labels: which queries are noised objects.
    """

    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_logits: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: list[Tensor] | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None
    init_reference_points: Tensor | None = None
    enc_topk_logits: Tensor | None = None
    enc_topk_bboxes: Tensor | None = None
    enc_outputs_class: Tensor | None = None
    enc_outputs_coord_logits: Tensor | None = None
    denoising_meta_values: dict[str, Any] | None = None


@dataclass
class RTDetrObjectDetectionOutput(ModelOutput):
    """Of a detector, with what its body returns."""

    loss: Tensor | None = None
    loss_dict: dict[str, Any] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: Tensor | None = None
    intermediate_logits: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: list[Tensor] | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None
    init_reference_points: Tensor | None = None
    enc_topk_logits: Tensor | None = None
    enc_topk_bboxes: Tensor | None = None
    enc_outputs_class: Tensor | None = None
    enc_outputs_coord_logits: Tensor | None = None
    denoising_meta_values: dict[str, Any] | None = None


Output = TypeVar("Output", bound=ModelOutput)


def detection_output(
    kind: type[Output], decoder: ModelOutput, encoder: ModelOutput, **fields: Any
) -> Output:
    """An output of class `kind` with `fields` and what decoder and encoder recorded."""
    return kind(
        **fields,
        last_hidden_state=decoder["last_hidden_state"],
        decoder_hidden_states=decoder.get("hidden_states"),
        decoder_attentions=decoder.get("attentions"),
        cross_attentions=decoder.get("cross_attentions"),
        encoder_last_hidden_state=encoder["last_hidden_state"],
        encoder_hidden_states=encoder.get("hidden_states"),
        encoder_attentions=encoder.get("attentions"),
    )
