"""OWL-ViT: boxes for things that texts name or a picture shows (arXiv 2205.06230).

B batch, Q queries, T tokens, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.recording import task_head
from dovetail_models_vision.clip.layers import TwoTowers
from dovetail_models_vision.clip.modeling import CLIPModel
from dovetail_models_vision.detection.boxes import (
    generalized_iou,
    intersection_over_union,
    to_corners,
)
from dovetail_models_vision.owlvit.configuration import OwlViTConfig
from dovetail_models_vision.owlvit.heads import (
    OwlViTBoxPredictionHead,
    OwlViTClassPredictionHead,
    box_bias,
)
from dovetail_models_vision.owlvit.outputs import (
    OwlViTImageGuidedObjectDetectionOutput,
    OwlViTObjectDetectionOutput,
    OwlViTOutput,
)
from dovetail_models_vision.owlvit.text import OwlViTTextTransformer
from dovetail_models_vision.owlvit.vision import OwlViTVisionTransformer

NEARLY_BEST = 0.8
"""Boxes that overlap the whole query picture this much of what the best does may stand for it."""


class OwlViTPreTrainedModel(TwoTowers):
    config_class = OwlViTConfig
    base_model_prefix = "owlvit"
    input_embeddings = "text_model.embeddings.token_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer"]


class OwlViTModel(OwlViTPreTrainedModel, CLIPModel):
    """Both halves, their projections, and a learned scale of similarities."""

    text_class = OwlViTTextTransformer
    vision_class = OwlViTVisionTransformer
    output_class = OwlViTOutput

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_base_image_embeds: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Similarities of texts (B, T) and images (B, C, H, W), and with `return_loss` how far text
        and image of one row are from preferring each other; `return_base_image_embeds` is taken and
        means nothing."""
        return super().forward(
            input_ids,
            pixel_values,
            attention_mask,
            return_loss=return_loss,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


class OwlViTForObjectDetection(OwlViTPreTrainedModel):
    """A box of each patch, compared with texts or with the thing on a query picture."""

    main_input_name = "pixel_values"
    input_embeddings = "owlvit.text_model.embeddings.token_embedding"

    def __init__(self, config: OwlViTConfig) -> None:
        super().__init__(config)
        self.owlvit = OwlViTModel(config)
        width = config.vision_config.hidden_size
        self.class_head = OwlViTClassPredictionHead(config)
        self.box_head = OwlViTBoxPredictionHead(width)
        self.layer_norm = nn.LayerNorm(width, config.vision_config.layer_norm_eps)
        self.post_init()

    def feature_map(self, images: Any) -> Tensor:
        """The map (B, rows, columns, D) of what the image half returned: patches, weighed by the
        token that stands for the image."""
        vision = self.owlvit.vision_model
        states = vision.post_layernorm(images.last_hidden_state)
        grid = vision.embeddings.patch_embedding.own_grid
        return self.layer_norm(states[:, 1:] * states[:, :1]).unflatten(1, grid)

    def image_embedder(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> tuple[Tensor, Any]:
        """The feature map (B, rows, columns, D) of images, and what the image half returned."""
        given = {"output_attentions": output_attentions}
        given |= {"output_hidden_states": output_hidden_states}
        switches = self.recorded_by_default(given)
        images = self.owlvit.vision_model(pixel_values, return_dict=True, **switches)
        return self.feature_map(images), images

    def image_text_embedder(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> tuple[Tensor, Tensor, OwlViTOutput]:
        """Embeddings (B * Q, projection) of texts, the feature map of images, and what both halves
        returned."""
        given = {"output_attentions": output_attentions}
        given |= {"output_hidden_states": output_hidden_states}
        switches = self.recorded_by_default(given)
        outputs = self.owlvit(input_ids, pixel_values, attention_mask, return_dict=True, **switches)
        return outputs.text_embeds, self.feature_map(outputs.vision_model_output), outputs

    def class_predictor(
        self,
        image_feats: Tensor,
        query_embeds: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Logits (B, N, Q) of patches (B, N, D) for queries (B, Q, D), where `query_mask` (B, Q)
        says which there are, and the patches' embeddings; without queries these alone."""
        given = None if query_mask is None else query_mask.bool()
        return self.class_head(image_feats, query_embeds, given)

    def box_predictor(self, image_feats: Tensor, feature_map: Tensor) -> Tensor:
        """Boxes (B, N, 4) by center and size of patches (B, N, D) of a map (B, rows, columns, D),
        in shares of the image."""
        _, rows, columns, _ = feature_map.shape
        return (self.box_head(image_feats) + box_bias((rows, columns), feature_map)).sigmoid()

    def embed_image_query(
        self, query_image_features: Tensor, query_feature_map: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, 1, D) of the thing on each query picture, the number (B, 1) of the box
        that shows it, and all boxes (B, N, 4)."""
        _, embeds = self.class_predictor(query_image_features)
        boxes = self.box_predictor(query_image_features, query_feature_map)
        best = torch.stack(
            [thing_shown(*one) for one in zip(to_corners(boxes), embeds, strict=True)]
        )
        rows = torch.arange(len(best), device=best.device)[:, None]
        return embeds[rows, best], best, boxes

    def image_guided_detection(
        self,
        pixel_values: Tensor,
        query_pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Boxes in images (B, C, H, W) of what query pictures of the same shape show."""
        if query_pixel_values is None or len(query_pixel_values) != len(pixel_values):
            count = 0 if query_pixel_values is None else len(query_pixel_values)
            raise ValueError(
                f"{count} query_pixel_values for {len(pixel_values)} pixel_values: give a query "
                "picture for each image."
            )
        query_map = self.image_embedder(query_pixel_values)[0]
        feature_map, images = self.image_embedder(
            pixel_values, output_attentions, output_hidden_states
        )
        patches = feature_map.flatten(1, 2)
        queries, _, query_boxes = self.embed_image_query(query_map.flatten(1, 2), query_map)
        logits, class_embeds = self.class_predictor(patches, queries)
        output = OwlViTImageGuidedObjectDetectionOutput(
            logits=logits,
            image_embeds=feature_map,
            query_image_embeds=query_map,
            target_pred_boxes=self.box_predictor(patches, feature_map),
            query_pred_boxes=query_boxes,
            class_embeds=class_embeds,
            vision_model_output=images,
        )
        wanted = self.config.use_return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    @task_head
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> OwlViTObjectDetectionOutput:
        """Boxes in images (B, C, H, W) and how well each of their texts (B * Q, T) describes them.

        A text that starts with token 0 only fills up the number of an image's texts.
        """
        if len(input_ids) % len(pixel_values):
            raise ValueError(
                f"{len(input_ids)} texts for {len(pixel_values)} images: each needs as many as the "
                "others; fill up with texts of token 0."
            )
        texts, feature_map, outputs = self.image_text_embedder(
            input_ids, pixel_values, attention_mask, output_attentions, output_hidden_states
        )
        patches = feature_map.flatten(1, 2)
        queries = texts.unflatten(0, (len(patches), -1))
        given = input_ids[:, 0].view(len(patches), -1) > 0
        logits, class_embeds = self.class_predictor(patches, queries, given)
        return OwlViTObjectDetectionOutput(
            logits=logits,
            pred_boxes=self.box_predictor(patches, feature_map),
            text_embeds=queries,
            image_embeds=feature_map,
            class_embeds=class_embeds,
            text_model_output=outputs.text_model_output,
            vision_model_output=outputs.vision_model_output,
        )


def thing_shown(boxes: Tensor, embeds: Tensor) -> Tensor:
    """The number (1,) of the box among `boxes` (N, 4), by corners, that shows what the whole
    picture shows: of those that cover it well, the one whose embedding (N, D) is the least like
    the mean, which is the background's."""
    picture = boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]])
    overlaps = intersection_over_union(picture, boxes)[0][0]
    if bool((overlaps == 0).all()):
        overlaps = generalized_iou(picture, boxes)[0]
    chosen = (overlaps >= overlaps.max() * NEARLY_BEST).nonzero().flatten()
    if not len(chosen):  # where all are negative, even the best is below its share
        chosen = overlaps.argmax()[None]
    likeness = embeds[chosen] @ embeds.mean(0)
    return chosen[likeness.argmin()][None]
