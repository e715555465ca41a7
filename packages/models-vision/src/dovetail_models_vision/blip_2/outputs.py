"""What BLIP-2's models return.

B batch, Q queries, T tokens, P the width in which pictures and texts meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.outputs import ModelOutput, Tensors
from dovetail_models_vision.clip.outputs import CLIPOutput


@dataclass
class Blip2ForConditionalGenerationModelOutput(ModelOutput):
    """Logits (B, T, V) and what each part returned."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    vision_outputs: ModelOutput | None = None
    qformer_outputs: ModelOutput | None = None
    language_model_outputs: ModelOutput | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None; those of the parts as tuples."""
        return tuple(
            value.to_tuple() if isinstance(value, ModelOutput) else value
            for value in super().to_tuple()
        )


class Blip2ImageTextMatchingModelOutput(CLIPOutput):
    """`text_embeds` are (B, P), or (B, Q + T, D) of the head that matches; `image_embeds` (B, Q, P)
    or the picture's states."""


@dataclass
class Blip2TextModelOutput(ModelOutput):
    """`text_embeds` (B, T, P) have unit length."""

    text_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class Blip2VisionModelOutput(ModelOutput):
    """`image_embeds` (B, Q, P) have unit length; the other fields are the image encoder's."""

    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
