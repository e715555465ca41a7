"""SAM: masks of what points, boxes or masks point at (arXiv 2304.02643).

The image is encoded once, prompts as often as one likes: `image_embeddings` may be kept.
B images, P prompts of an image, N points of a prompt, M masks of a prompt, D width, h, w patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput, Tensors
from dovetail.recording import Recorder, task_head
from dovetail_models_vision.sam.configuration import SamConfig
from dovetail_models_vision.sam.mask_decoder import SamMaskDecoder
from dovetail_models_vision.sam.prompts import SamPositionalEmbedding, SamPromptEncoder
from dovetail_models_vision.sam.vision import SamVisionEncoder

POSITIONS = "shared_image_embedding.positional_embedding"


@dataclass
class SamImageSegmentationOutput(ModelOutput):
    """`iou_scores` (B, P, M) say how well the masks are expected to fit, `pred_masks` (B, P, M, 4h,
    4w) are logits.

    `vision_hidden_states` are (B, h, w, D), `vision_attentions` (windows * heads, T, T),
    `mask_decoder_attentions` (B * P, 1, h * w, D) what the image took from the tokens.
    """

    iou_scores: Tensor | None = None
    pred_masks: Tensor | None = None
    vision_hidden_states: Tensors | None = None
    vision_attentions: Tensors | None = None
    mask_decoder_attentions: Tensors | None = None


class SamPreTrainedModel(PreTrainedModel):
    config_class = SamConfig
    base_model_prefix = "sam"
    main_input_name = "pixel_values"
    input_embeddings = "vision_encoder.patch_embed"
    _no_split_modules: ClassVar[list[str]] = ["SamVisionLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SamPositionalEmbedding):
            module.draw()


class SamModel(SamPreTrainedModel):
    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "prompt_encoder.shared_embedding.positional_embedding": POSITIONS
    }

    def __init__(self, config: SamConfig) -> None:
        super().__init__(config)
        self.shared_image_embedding = SamPositionalEmbedding(config.vision_config)
        self.vision_encoder = SamVisionEncoder(config.vision_config)
        self.prompt_encoder = SamPromptEncoder(
            config.prompt_encoder_config, self.shared_image_embedding
        )
        self.mask_decoder = SamMaskDecoder(config.mask_decoder_config)
        self.post_init()

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Embeddings (1, D, h, w) of the places of all patches."""
        return self.shared_image_embedding.grid(self.prompt_encoder.side)

    @torch.no_grad()
    def get_image_embeddings(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Tensor:
        """Embeddings (B, D, h, w) of `pixel_values` (B, C, H, W), for any number of prompts.

        The other arguments are accepted and change nothing.
        """
        return self.encode_image(pixel_values, self.encoder_context(pixel_values, None))

    @torch.no_grad()
    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, P, N, D) of points and boxes, and what is added to the image (B, D, h, w)."""
        check_prompts(None, input_points, input_labels, input_boxes)
        return self.prompt_encoder(input_points, input_labels, input_boxes, input_masks)

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        multimask_output: bool = True,
        attention_similarity: Tensor | None = None,
        target_embedding: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SamImageSegmentationOutput:
        """Masks and their scores: three of each prompt, or one without `multimask_output`.

        Args:
            pixel_values: (B, C, H, W), or in their place `image_embeddings` (B, D, h, w).
            input_points: (B, P, N, 2), x and y in pixels of the prepared image.
            input_labels: (B, P, N), 1 for what is meant, 0 for what is not, -1 and -10 for padding.
            input_boxes: (B, P, 4), x and y of two corners.
            input_masks: (B, 1, 4h, 4w), as an earlier call gave them.
            attention_similarity: added to the weights by which tokens attend to the image.
            target_embedding: added to the tokens.
        """
        source = image_embeddings if pixel_values is None else pixel_values
        if source is None or (pixel_values is not None and image_embeddings is not None):
            raise ValueError("Give exactly one of pixel_values and image_embeddings.")
        if input_points is not None and input_labels is None:
            input_labels = torch.ones_like(input_points[..., 0], dtype=torch.long)
        check_prompts(len(source), input_points, input_labels, input_boxes)
        recorder = self.recorder(output_attentions, output_hidden_states)
        context = self.encoder_context(source, None, recorder=recorder)
        image = self.encode_image(source, context) if image_embeddings is None else source
        sparse, dense = self.prompt_encoder(input_points, input_labels, input_boxes, input_masks)
        prompts = sparse.shape[1]
        target = target_embedding
        if target is not None and target.dim() == 4:
            target = target.expand(len(source), prompts, -1, -1).flatten(0, 1)
        masks, scores = self.mask_decoder(
            (image + dense).repeat_interleave(prompts, 0),
            self.get_image_wide_positional_embeddings().to(image.dtype),
            sparse.expand(len(source), -1, -1, -1).flatten(0, 1),
            context,
            attention_similarity,
            target,
        )
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return SamImageSegmentationOutput(
            iou_scores=scores[:, chosen].unflatten(0, (-1, prompts)),
            pred_masks=masks[:, chosen].unflatten(0, (-1, prompts)),
            **recorded(context.recorder),
        )

    def recorder(self, attentions: bool | None, hidden_states: bool | None) -> Recorder | None:
        """What is to be recorded, by the arguments or the config."""
        config = self.config
        wanted = (
            config.output_hidden_states if hidden_states is None else hidden_states,
            config.output_attentions if attentions is None else attentions,
        )
        return Recorder(*wanted) if any(wanted) else None

    def encode_image(self, pixel_values: Tensor, context: Context) -> Tensor:
        """Embeddings (B, D, h, w) of `pixel_values` (B, C, H, W)."""
        encoder, recorder = self.vision_encoder, context.recorder
        hidden_states = self.run_layers(encoder.layers, encoder.embed(pixel_values), context)
        if recorder is not None:
            recorder.add_hidden_state(hidden_states)
        return encoder.neck(hidden_states)


def check_prompts(
    images: int | None, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None
) -> None:
    """Refuse prompts whose shapes do not fit each other or the number of `images`."""
    if points is not None and (points.dim() != 4 or points.shape[-1] != 2):
        raise ValueError(
            f"input_points have the shape {tuple(points.shape)}; they must be (images, prompts, "
            "points, 2)."
        )
    if boxes is not None and (boxes.dim() != 3 or boxes.shape[-1] != 4):
        raise ValueError(
            f"input_boxes have the shape {tuple(boxes.shape)}; they must be (images, prompts, 4)."
        )
    if points is not None and labels is not None and labels.shape != points.shape[:-1]:
        raise ValueError(
            f"input_labels have the shape {tuple(labels.shape)}; input_points of the shape "
            f"{tuple(points.shape)} need one label each, {tuple(points.shape[:-1])}."
        )
    if points is not None and boxes is not None and points.shape[:2] != boxes.shape[:2]:
        raise ValueError(
            f"input_points are for {tuple(points.shape[:2])} images and prompts, input_boxes for "
            f"{tuple(boxes.shape[:2])}; give as many boxes as prompts."
        )
    for name, given in (("input_points", points), ("input_boxes", boxes)):
        if given is not None and images is not None and len(given) != images:
            raise ValueError(
                f"{name} are for {len(given)} images, but there are {images}: all prompts of one "
                "image stand along the second axis."
            )


def recorded(recorder: Recorder | None) -> dict[str, Tensors]:
    """The records by the names of the output."""
    notes = {} if recorder is None else recorder.notes
    named = {
        "vision_hidden_states": notes.get("hidden_states", ()),
        "vision_attentions": [weights.flatten(0, 1) for weights in notes.get("attentions", ())],
        "mask_decoder_attentions": notes.get("mask_decoder_attentions", ()),
    }
    return {name: tuple(tensors) for name, tensors in named.items() if tensors}
