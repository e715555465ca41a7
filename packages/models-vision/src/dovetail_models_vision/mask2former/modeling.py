"""Mask2Former: one model for semantic, instance and panoptic segmentation (arXiv 2112.01527).

A pixel decoder refines a backbone's maps by deformable attention; queries, each a class and a mask,
attend only to what is inside the mask that they had one layer before. B batch, Q queries, D width,
H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.backbones import load_backbone
from dovetail.layers.patches import check_channels
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput, Tensors
from dovetail.recording import Recorder, task_head
from dovetail_models_vision.detection.deformable import DeformableAttention
from dovetail_models_vision.mask2former.configuration import Mask2FormerConfig
from dovetail_models_vision.mask2former.decoder import Mask2FormerTransformerModule, MaskedAttention
from dovetail_models_vision.mask2former.losses import MaskCriterion, check_objects
from dovetail_models_vision.mask2former.pixel_decoder import Mask2FormerPixelDecoder


@dataclass
class Mask2FormerModelOutput(ModelOutput):
    """Last states are maps (B, C, H, W) of the backbone and the pixel decoder and queries (B, Q,
    D); states of all queries are (Q, B, D); there is a prediction of ``masks_queries_logits``
    (B, Q, H / 4, W / 4) before and after each layer."""

    encoder_last_hidden_state: Tensor | None = None
    pixel_decoder_last_hidden_state: Tensor | None = None
    transformer_decoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    pixel_decoder_hidden_states: Tensors | None = None
    transformer_decoder_hidden_states: Tensors | None = None
    transformer_decoder_intermediate_states: Tensors | None = None
    masks_queries_logits: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class Mask2FormerForUniversalSegmentationOutput(ModelOutput):
    """``class_queries_logits`` (B, Q, labels + 1), ``masks_queries_logits`` (B, Q, H / 4, W / 4),
    and the same of all earlier layers as ``auxiliary_logits``."""

    loss: Tensor | None = None
    class_queries_logits: Tensor | None = None
    masks_queries_logits: Tensor | None = None
    auxiliary_logits: list[dict[str, Tensor]] | None = None
    encoder_last_hidden_state: Tensor | None = None
    pixel_decoder_last_hidden_state: Tensor | None = None
    transformer_decoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    pixel_decoder_hidden_states: Tensors | None = None
    transformer_decoder_hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class Mask2FormerPixelLevelModule(nn.Module):
    """The backbone and the pixel decoder."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        self.encoder = load_backbone(config)
        self.decoder = Mask2FormerPixelDecoder(config, self.encoder.channels)


class Mask2FormerPreTrainedModel(PreTrainedModel):
    config_class = Mask2FormerConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["DetectionLayer", "Mask2FormerPixelLevelModule"]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, DeformableAttention):
            module.initialise()
            for part in module.children():
                part._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, MaskedAttention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)
        elif isinstance(module, Mask2FormerPixelDecoder):
            nn.init.normal_(module.level_embed)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight, gain=self.config.init_xavier_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Mask2FormerModel(Mask2FormerPreTrainedModel):
    """Backbone, pixel decoder and transformer decoder, with the masks but without classes."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__(config)
        self.pixel_level_module = Mask2FormerPixelLevelModule(config)
        self.transformer_module = Mask2FormerTransformerModule(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """What makes patches of pictures."""
        return self.pixel_level_module.encoder.get_input_embeddings()

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> Mask2FormerModelOutput:
        """States and masks of queries for pictures (B, C, H, W); `pixel_mask` is taken as the field
        does, whose model sees padding as a part of the picture."""
        wants_states, wants_attentions = (
            getattr(self.config, name) if given is None else given
            for name, given in (
                ("output_hidden_states", output_hidden_states),
                ("output_attentions", output_attentions),
            )
        )
        recorder = Recorder(False, True) if wants_attentions else None
        pixels: Any = self.pixel_level_module
        check_channels(pixel_values, pixels.encoder.config.num_channels)
        maps = pixels.encoder(pixel_values.to(self.dtype), return_dict=True).feature_maps
        features, small = pixels.decoder(maps, self.run_layers)
        states, normed, masks = self.transformer_module(small, features, recorder, self.run_layers)
        output = Mask2FormerModelOutput(
            encoder_last_hidden_state=maps[-1],
            pixel_decoder_last_hidden_state=features,
            transformer_decoder_last_hidden_state=states[-1],
            masks_queries_logits=tuple(masks),
        )
        if recorder is not None:
            recorder.complete(output)
        if wants_states:
            output.encoder_hidden_states = tuple(maps)
            output.pixel_decoder_hidden_states = tuple(small)
            output.transformer_decoder_hidden_states = by_query(states)
            output.transformer_decoder_intermediate_states = by_query(normed)
        return output


def by_query(states: Sequence[Tensor]) -> Tensors:
    """States (Q, B, D), as the field returns those of all layers."""
    return tuple(state.transpose(0, 1) for state in states)


class Mask2FormerForUniversalSegmentation(Mask2FormerPreTrainedModel):
    """Classes and masks of queries."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__(config)
        self.model = Mask2FormerModel(config)
        self.class_predictor = Linear(config.hidden_dim, config.num_labels + 1)
        self.criterion: Any = nn.Module()
        weights = torch.ones(config.num_labels + 1)
        weights[-1] = config.no_object_weight
        self.criterion.register_buffer("empty_weight", weights)
        self.post_init()

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        mask_labels: Sequence[Tensor] | None = None,
        class_labels: Sequence[Tensor] | None = None,
        pixel_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_auxiliary_logits: bool | None = None,
        output_attentions: bool | None = None,
    ) -> Mask2FormerForUniversalSegmentationOutput:
        """Logits of classes and masks for pictures (B, C, H, W); the loss where both `mask_labels`
        (N, H, W) and `class_labels` (N,) are given for each picture.

        The points at which masks are compared are drawn from torch's generator.
        """
        config = self.config
        outputs = self.model(
            pixel_values, pixel_mask, True, output_attentions=output_attentions, return_dict=True
        )
        predictions = [
            {
                "masks_queries_logits": masks,
                "class_queries_logits": self.class_predictor(states.transpose(0, 1)),
            }
            for masks, states in zip(
                outputs.masks_queries_logits,
                outputs.transformer_decoder_intermediate_states,
                strict=True,
            )
        ]
        *earlier, last = predictions
        loss = None
        if mask_labels is not None and class_labels is not None:
            targets = check_objects(class_labels, mask_labels, len(pixel_values), config.num_labels)
            judged = [last, *(earlier if config.use_auxiliary_loss else ())]
            loss, _ = MaskCriterion(config, self.criterion.empty_weight)(judged, targets)
        wanted = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        shown = output_auxiliary_logits
        shown = config.output_auxiliary_logits if shown is None else shown
        names = Mask2FormerForUniversalSegmentationOutput.__dataclass_fields__
        recorded = {
            name: value
            for name, value in outputs.items()
            if name in names and name not in last and (wanted or not name.endswith("hidden_states"))
        }
        return Mask2FormerForUniversalSegmentationOutput(
            loss=loss, **last, auxiliary_logits=earlier if shown else None, **recorded
        )
