"""What OmDet-Turbo returns.

Boxes are by center and size, as parts of the picture. B batch, Q queries, C classes, S places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.outputs import ModelOutput, Tensors


@dataclass
class OmDetTurboDecoderOutput(ModelOutput):
    """Of the decoder."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Any = None
    cross_attentions: Tensors | None = None
    decoder_coords: Tensor | None = None
    decoder_classes: Tensor | None = None
    encoder_coord_logits: Tensor | None = None
    encoder_class_logits: Tensor | None = None
    init_reference_points: Tensor | None = None
    intermediate_reference_points: Tensor | None = None


@dataclass
class OmDetTurboObjectDetectionOutput(ModelOutput):
    """Of the detector: `decoder_coord_logits` (layers, B, Q, 4) are boxes and
    `decoder_class_logits` (layers, B, Q, C) scores of the last layer or, in training, of all;
    `decoder_attentions` are those among queries and those to the picture."""

    loss: Tensor | None = None
    decoder_coord_logits: Tensor | None = None
    decoder_class_logits: Tensor | None = None
    init_reference_points: Tensor | None = None
    intermediate_reference_points: Tensor | None = None
    encoder_coord_logits: Tensor | None = None
    encoder_class_logits: Tensor | None = None
    encoder_extracted_states: list[Tensor] | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: tuple[Tensors, Tensors] | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None
