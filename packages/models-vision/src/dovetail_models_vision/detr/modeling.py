"""DETR: objects as a set, found by queries that attend to a picture (arXiv 2005.12872).

A backbone's last map is read by an encoder; a decoder turns learned queries into objects, all at
once. B batch, Q queries, S places of the map, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput, ModelOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.detection.backbone import ConvEncoder, full_mask
from dovetail_models_vision.detection.losses import detr_criterion
from dovetail_models_vision.detection.matching import Targets, check_targets
from dovetail_models_vision.detection.outputs import (
    DetrDecoderOutput,
    DetrModelOutput,
    DetrObjectDetectionOutput,
    DetrSegmentationOutput,
    detection_output,
)
from dovetail_models_vision.detection.positions import position_embedding
from dovetail_models_vision.detection.transformer import (
    BoxHead,
    DetectionLayer,
    PositionedAttention,
    detection_context,
)
from dovetail_models_vision.detr.configuration import DetrConfig
from dovetail_models_vision.detr.segmentation import AttentionMaps, MaskHead


class DetrPreTrainedModel(PreTrainedModel):
    config_class = DetrConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_embeddings = "input_projection"
    _no_split_modules: ClassVar[list[str]] = ["ConvEncoder", "DetectionLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.init_std
        if isinstance(module, AttentionMaps):
            for linear in (module.q_linear, module.k_linear):
                nn.init.xavier_uniform_(linear.weight, gain=self.config.init_xavier_std)
                nn.init.zeros_(linear.bias)
                linear._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]


class Picture(NamedTuple):
    """A picture as an encoder reads it: states and positions (B, S, D) of its places, and their
    mask (B, S)."""

    states: Tensor
    places: Tensor
    mask: Tensor


class DetrBackbone(nn.Module):
    """Feature maps and the positions of their places."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__()
        self.conv_encoder = ConvEncoder(config)
        self.position_embedding = position_embedding(config.position_embedding_type, config.d_model)


def layer(config: DetrConfig, index: int, decoder: bool) -> DetectionLayer:
    """A layer of the encoder or of the `decoder`."""
    heads = config.decoder_attention_heads if decoder else config.encoder_attention_heads
    width, dropout = config.d_model, config.attention_dropout
    return DetectionLayer(
        PositionedAttention(width, heads, index, dropout),
        width,
        config.decoder_ffn_dim if decoder else config.encoder_ffn_dim,
        config.activation_function,
        encoder_attn=PositionedAttention(width, heads, index, dropout, cross=True)
        if decoder
        else None,
        dropout=config.dropout,
        activation_dropout=config.activation_dropout,
    )


class DetrEncoder(DetrPreTrainedModel):
    """Reads the places of a picture."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        layers = range(config.encoder_layers)
        self.layers = nn.ModuleList(layer(config, index, False) for index in layers)
        self.post_init()

    @backbone
    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        object_queries: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """States (B, S, D) of the places, whose positions are `object_queries` (B, S, D)."""
        implementation = self.config._attn_implementation
        context = detection_context(
            implementation, inputs_embeds, recorder, mask=attention_mask, places=object_queries
        )
        states = F.dropout(inputs_embeds, self.config.dropout, self.training)
        return BaseModelOutput(
            self.run_layers(self.layers, states, context, self.config.encoder_layerdrop)
        )


class DetrDecoder(DetrPreTrainedModel):
    """Turns queries into objects."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        layers = range(config.decoder_layers)
        self.layers = nn.ModuleList(layer(config, index, True) for index in layers)
        self.layernorm = nn.LayerNorm(config.d_model)
        self.post_init()

    @backbone
    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        object_queries: Tensor | None = None,
        query_position_embeddings: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> DetrDecoderOutput:
        """States (B, Q, D) of the queries, whose positions are `query_position_embeddings`; those
        of the picture's places are `object_queries` (B, S, D)."""
        context = detection_context(
            self.config._attn_implementation,
            inputs_embeds,
            recorder,
            mask=attention_mask,
            encoded=encoder_hidden_states,
            encoded_mask=encoder_attention_mask,
            places=object_queries,
            queries=query_position_embeddings,
        )
        layers, drop = self.layers, self.config.decoder_layerdrop
        if not self.config.auxiliary_loss:
            return DetrDecoderOutput(
                self.layernorm(self.run_layers(layers, inputs_embeds, context, drop))
            )
        states, between = inputs_embeds, []
        for one in layers:
            # Layers read what was normalised for auxiliary losses: so the field has trained them.
            states = self.layernorm(self.run_layers([one], states, context, drop))
            between.append(states)
        return DetrDecoderOutput(
            self.layernorm(states), intermediate_hidden_states=torch.stack(between)
        )


class DetrModel(DetrPreTrainedModel):
    """Backbone, encoder and decoder without heads."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.backbone = DetrBackbone(config)
        channels = self.backbone.conv_encoder.intermediate_channel_sizes[-1]
        self.input_projection = nn.Conv2d(channels, config.d_model, kernel_size=1)
        self.query_position_embeddings = nn.Embedding(config.num_queries, config.d_model)
        self.encoder = DetrEncoder(config)
        self.decoder = DetrDecoder(config)
        self.post_init()

    def get_encoder(self) -> DetrEncoder:
        """The encoder."""
        return self.encoder

    def get_decoder(self) -> DetrDecoder:
        """The decoder."""
        return self.decoder

    def freeze_backbone(self) -> None:
        """Train no weight of the backbone."""
        self.backbone.conv_encoder.model.requires_grad_(False)

    def unfreeze_backbone(self) -> None:
        """Train every weight of the backbone."""
        self.backbone.conv_encoder.model.requires_grad_(True)

    def look(self, pixel_values: Tensor, pixel_mask: Tensor | None) -> tuple[Picture, list[Tensor]]:
        """What the encoder reads of pictures (B, C, H, W), and the backbone's feature maps."""
        pixel_mask = full_mask(pixel_values, pixel_mask)
        pixel_values = pixel_values.to(self.input_projection.weight.dtype)
        maps = self.backbone.conv_encoder(pixel_values, pixel_mask)
        last, mask = maps[-1]
        places = self.backbone.position_embedding(mask, last.dtype)
        states = self.input_projection(last)
        picture = Picture(states.flatten(2).mT, places.flatten(2).mT, mask.flatten(1))
        return picture, [map_ for map_, _ in maps]

    def read(
        self, picture: Picture, encoder_outputs: Any = None, **recording: Any
    ) -> tuple[ModelOutput, ModelOutput]:
        """Outputs of decoder and encoder; the encoder runs unless `encoder_outputs` are given."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                picture.states, picture.mask, picture.places, return_dict=True, **recording
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        queries = self.query_position_embeddings.weight.expand(len(picture.states), -1, -1)
        decoded = self.decoder(
            torch.zeros_like(queries),
            encoder_hidden_states=encoder_outputs[0],
            encoder_attention_mask=picture.mask,
            object_queries=picture.places,
            query_position_embeddings=queries,
            return_dict=True,
            **recording,
        )
        return decoded, encoder_outputs

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        **recording: Any,
    ) -> DetrModelOutput:
        """States (B, Q, D) of the queries for pictures (B, C, H, W), of which `pixel_mask` (B, H,
        W) says by 1 where they are and by 0 where padding is."""
        picture, _ = self.look(pixel_values, pixel_mask)
        decoded, encoded = self.read(picture, encoder_outputs, **recording)
        between = decoded.get("intermediate_hidden_states")
        return detection_output(
            DetrModelOutput, decoded, encoded, intermediate_hidden_states=between
        )


class DetrForObjectDetection(DetrPreTrainedModel):
    """Classes and boxes of objects."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.model = DetrModel(config)
        self.class_labels_classifier = Linear(config.d_model, config.num_labels + 1)
        self.bbox_predictor = BoxHead(config.d_model, config.d_model, 4, 3)
        self.post_init()

    def predict(self, states: Tensor) -> dict[str, Tensor]:
        """``logits`` (..., Q, classes + 1) and ``pred_boxes`` (..., Q, 4) of `states`."""
        boxes = self.bbox_predictor(states).sigmoid()
        return {"logits": self.class_labels_classifier(states), "pred_boxes": boxes}

    def auxiliary(self, decoded: ModelOutput) -> list[dict[str, Tensor]] | None:
        """What the layers before the last predict, with ``config.auxiliary_loss``."""
        between = decoded.get("intermediate_hidden_states")
        return None if between is None else [self.predict(states) for states in between[:-1]]

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        labels: Targets | None = None,
        **recording: Any,
    ) -> DetrObjectDetectionOutput:
        """Logits, boxes and, for `labels` (a dict with ``class_labels`` and ``boxes`` for each
        picture), the loss; other arguments as of `DetrModel`."""
        picture, _ = self.model.look(pixel_values, pixel_mask)
        decoded, encoded = self.model.read(picture, encoder_outputs, **recording)
        prediction = self.predict(decoded["last_hidden_state"])
        return detected(
            self, DetrObjectDetectionOutput, prediction, self.auxiliary(decoded), labels, decoded,
            encoded,
        )  # fmt: skip


class DetrForSegmentation(DetrPreTrainedModel):
    """Classes, boxes and masks of objects; the backbone must return all its four maps."""

    base_model_prefix = "detr.model"

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.detr = DetrForObjectDetection(config)
        width, heads = config.d_model, config.encoder_attention_heads
        channels = self.detr.model.backbone.conv_encoder.intermediate_channel_sizes
        self.mask_head = MaskHead(width + heads, channels[2::-1], width)
        self.bbox_attention = AttentionMaps(width, heads)
        self.post_init()

    @property
    def base_model(self) -> DetrModel:
        """The body, which is that of the detector inside."""
        return self.detr.model

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        labels: Targets | None = None,
        **recording: Any,
    ) -> DetrSegmentationOutput:
        """As `DetrForObjectDetection`, with ``pred_masks`` (B, Q, H / 4, W / 4); labels have
        ``masks``, too."""
        body = self.detr.model
        picture, maps = body.look(pixel_values, pixel_mask)
        decoded, encoded = body.read(picture, encoder_outputs, **recording)
        prediction = self.detr.predict(decoded["last_hidden_state"])
        size = maps[-1].shape[-2:]
        memory, states = (
            x.mT.unflatten(-1, size) for x in (encoded["last_hidden_state"], picture.states)
        )
        attention = self.bbox_attention(
            decoded["last_hidden_state"], memory, picture.mask.unflatten(-1, size)
        )
        masks = self.mask_head(states, attention, maps[2::-1])
        prediction["pred_masks"] = masks.unflatten(0, (len(pixel_values), -1))[:, :, 0]
        return detected(
            self, DetrSegmentationOutput, prediction, self.detr.auxiliary(decoded), labels, decoded,
            encoded,
        )  # fmt: skip


def detected(
    model: Any, kind: Any, prediction: dict[str, Tensor],
    auxiliary: Sequence[dict[str, Tensor]] | None, labels: Targets | None, decoded: ModelOutput,
    encoded: ModelOutput,
) -> Any:  # fmt: skip
    """An output of class `kind`, with the loss where there are `labels`."""
    loss = losses = None
    if labels is not None:
        segments = "pred_masks" in prediction
        config, batch = model.config, len(prediction["logits"])
        targets = check_targets(labels, batch, config.num_labels, segments)
        named = {str(index): layer for index, layer in enumerate(auxiliary or ())}
        loss, losses = detr_criterion(config, segments)(prediction, targets, named)
    return detection_output(
        kind,
        decoded,
        encoded,
        loss=loss,
        loss_dict=losses,
        **prediction,
        auxiliary_outputs=auxiliary if labels is not None else None,
    )
