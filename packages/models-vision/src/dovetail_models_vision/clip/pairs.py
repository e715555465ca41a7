"""What all models have in common that embed texts and images where both can be compared.

B batch, T tokens, C channels, H height, W width, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.recording import task_head
from dovetail_models_vision.clip.layers import TwoTowers, contrastive_loss
from dovetail_models_vision.clip.outputs import CLIPOutput


class TextImagePairs(TwoTowers):
    """Two halves, `text_model` and `vision_model`; a family says how alike two embeddings are."""

    output_class: ClassVar[type[CLIPOutput]] = CLIPOutput
    text_model: Any
    vision_model: Any
    logit_scale: nn.Parameter

    def project_text(self, pooled: Tensor) -> Tensor:
        """Embeddings of what the text half pools, (B, D)."""
        return pooled

    def project_image(self, pooled: Tensor) -> Tensor:
        """Embeddings of what the image half pools, (B, D)."""
        return pooled

    def similarity(self, text_embeds: Tensor, image_embeds: Tensor) -> Tensor:
        """How alike texts and images of unit length are, (texts, images)."""
        return text_embeds @ image_embeds.t() * self.logit_scale.exp()

    def pair_loss(self, similarity: Tensor) -> Tensor:
        """How far text and image of one row are from belonging together."""
        return contrastive_loss(similarity)

    def get_text_features(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Tensor:
        """Embeddings (B, projection) of texts (B, T), not yet of unit length."""
        outputs = self.text_model(input_ids, attention_mask, position_ids, return_dict=True)
        return self.project_text(outputs.pooler_output)

    def get_image_features(
        self,
        pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
    ) -> Tensor:
        """Embeddings (B, projection) of images (B, C, H, W), not yet of unit length."""
        outputs = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True)
        return self.project_image(outputs.pooler_output)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Any,
    ) -> CLIPOutput:
        """Similarities of texts (B, T) and images (B, C, H, W), and with `return_loss` how far text
        and image of one row are from preferring each other."""
        switches = self.recorded_by_default(kwargs) | {"return_dict": True}
        texts = self.text_model(input_ids, attention_mask, position_ids, **switches)
        images = self.vision_model(pixel_values, interpolate_pos_encoding, **switches)
        image_embeds = F.normalize(self.project_image(images.pooler_output), dim=-1)
        text_embeds = F.normalize(self.project_text(texts.pooler_output), dim=-1)
        similarity = self.similarity(text_embeds, image_embeds)
        return self.output_class(
            loss=self.pair_loss(similarity) if return_loss else None,
            logits_per_image=similarity.t(),
            logits_per_text=similarity,
            text_embeds=text_embeds,
            image_embeds=image_embeds,
            text_model_output=texts,
            vision_model_output=images,
        )
