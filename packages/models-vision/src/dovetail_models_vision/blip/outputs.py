"""What BLIP's models return; hidden states and attentions are the image encoder's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dovetail.outputs import ModelOutput, Tensors
from dovetail_models_vision.clip.outputs import CLIPOutput


class BlipOutput(CLIPOutput):
    """As CLIP's."""


@dataclass
class BlipForConditionalGenerationModelOutput(ModelOutput):
    """`logits` (B, T, V); `image_embeds` (B, S, D) are what the text decoder attends to."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None

    @property
    def decoder_logits(self) -> Tensor | None:
        """An old name of `logits`."""
        return self.get("logits")


@dataclass
class BlipTextVisionModelOutput(ModelOutput):
    """`image_embeds` (B, S, D) are what the question's encoder attends to."""

    loss: Tensor | None = None
    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class BlipImageTextMatchingModelOutput(ModelOutput):
    """`itm_score` (B, 2), whether text and image match, or the similarities (images, texts);
    `question_embeds` (B, T, D) are the text's."""

    itm_score: Tensor | None = None
    loss: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    vision_pooler_output: Tensor | None = None
    attentions: Tensors | None = None
    question_embeds: Tensor | None = None
