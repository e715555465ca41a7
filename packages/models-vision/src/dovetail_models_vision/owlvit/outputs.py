"""What OWL-ViT's detector returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.outputs import BaseModelOutputWithPooling, ModelOutput
from dovetail_models_vision.clip.outputs import CLIPOutput


class OwlViTOutput(CLIPOutput):
    """Similarities, embeddings, and what each half returned."""


@dataclass
class OwlViTObjectDetectionOutput(ModelOutput):
    """Boxes found for texts: `logits` (B, N, Q) of patches and queries, `pred_boxes` (B, N, 4) by
    center and size, in shares of the image. `text_embeds` (B, Q, projection), `image_embeds`
    (B, rows, columns, D) and `class_embeds` (B, N, D) can be used again."""

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    class_embeds: Tensor | None = None
    text_model_output: BaseModelOutputWithPooling | None = None
    vision_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None; those of the halves as tuples."""
        return nested_tuple(super().to_tuple())


@dataclass
class OwlViTImageGuidedObjectDetectionOutput(ModelOutput):
    """Boxes found for a picture: `logits` (B, N, 1) and `target_pred_boxes` (B, N, 4) of the image,
    `query_pred_boxes` of the query picture; feature maps (B, rows, columns, D) of both."""

    logits: Tensor | None = None
    image_embeds: Tensor | None = None
    query_image_embeds: Tensor | None = None
    target_pred_boxes: Tensor | None = None
    query_pred_boxes: Tensor | None = None
    class_embeds: Tensor | None = None
    text_model_output: BaseModelOutputWithPooling | None = None
    vision_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None; those of the halves as tuples."""
        return nested_tuple(super().to_tuple())


def nested_tuple(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """`values` with outputs among them as tuples."""
    return tuple(value.to_tuple() if isinstance(value, ModelOutput) else value for value in values)
