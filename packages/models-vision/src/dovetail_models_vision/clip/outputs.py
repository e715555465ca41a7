"""What CLIP's classes return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.outputs import BaseModelOutputWithPooling, ModelOutput, Tensors


@dataclass
class CLIPTextModelOutput(ModelOutput):
    """`text_embeds` are (B, projection), not yet of unit length."""

    text_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class CLIPVisionModelOutput(ModelOutput):
    """`image_embeds` are (B, projection), not yet of unit length."""

    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class CLIPOutput(ModelOutput):
    """Similarities (images, texts) and (texts, images), embeddings of unit length, and what each
    half returned."""

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    text_model_output: BaseModelOutputWithPooling | None = None
    vision_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None; those of the halves as tuples."""
        return tuple(
            value.to_tuple() if isinstance(value, ModelOutput) else value
            for value in super().to_tuple()
        )
