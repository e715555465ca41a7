"""RT-DETR: a detection transformer in real time (arXiv 2304.08069).

A backbone's maps are read by a hybrid encoder; of all its places those that look most like objects
are the decoder's queries, whose boxes each layer refines. B batch, Q queries, S places of all maps,
L maps, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail.masks import Mask
from dovetail.outputs import BaseModelOutput, ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.detection.anchors import anchor_boxes
from dovetail_models_vision.detection.backbone import full_mask
from dovetail_models_vision.detection.convolutions import Projection
from dovetail_models_vision.detection.deformable import Shapes
from dovetail_models_vision.detection.matching import Targets, check_targets
from dovetail_models_vision.detection.outputs import (
    RTDetrModelOutput,
    RTDetrObjectDetectionOutput,
    detection_output,
)
from dovetail_models_vision.detection.transformer import BoxHead
from dovetail_models_vision.rt_detr.configuration import RTDetrConfig
from dovetail_models_vision.rt_detr.denoising import NoisedObjects, noised_objects
from dovetail_models_vision.rt_detr.losses import detection_loss
from dovetail_models_vision.rt_detr.transformer import (
    ConvEncoder,
    RefiningHead,
    RTDetrDecoder,
    RTDetrHybridEncoder,
    RTDetrPreTrainedModel,
    ScoreHead,
)


class Reading(NamedTuple):
    """Outputs of decoder and encoder, what else the model returns, and the noised objects."""

    decoded: ModelOutput
    encoded: ModelOutput
    fields: dict[str, Any]
    noised: NoisedObjects | None


class RTDetrModel(RTDetrPreTrainedModel):
    """Backbone, encoder and decoder without the decoder's heads."""

    def __init__(self, config: RTDetrConfig) -> None:
        super().__init__(config)
        self.backbone = ConvEncoder(config)
        width, eps = config.d_model, config.batch_norm_eps
        self.encoder_input_proj = nn.ModuleList(
            Projection(channels, config.encoder_hidden_dim)
            for channels in self.backbone.model.channels
        )
        self.encoder = RTDetrHybridEncoder(config)
        if config.num_denoising > 0:
            self.denoising_class_embed = nn.Embedding(
                config.num_labels + 1, width, padding_idx=config.num_labels
            )
        if config.learn_initial_query:
            self.weight_embedding = nn.Embedding(config.num_queries, width)
        norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.enc_output = nn.Sequential(Linear(width, width), norm)
        self.enc_score_head = ScoreHead(width, config.num_labels)
        self.enc_bbox_head = BoxHead(width, width, 4, 3)
        projections = [Projection(size, width, eps=eps) for size in config.decoder_in_channels]
        for index in range(config.num_feature_levels - len(projections)):
            size = width if index else config.decoder_in_channels[-1]
            projections.append(Projection(size, width, 3, 2, eps=eps))
        self.decoder_input_proj = nn.ModuleList(projections)
        self.decoder = RTDetrDecoder(config)
        self.post_init()

    def get_encoder(self) -> RTDetrHybridEncoder:
        """The encoder."""
        return self.encoder

    def get_decoder(self) -> RTDetrDecoder:
        """The decoder."""
        return self.decoder

    def freeze_backbone(self) -> None:
        """Train no weight of the backbone."""
        self.backbone.requires_grad_(False)

    def unfreeze_backbone(self) -> None:
        """Train every weight of the backbone."""
        self.backbone.requires_grad_(True)

    def look(self, pixel_values: Tensor, pixel_mask: Tensor | None) -> list[Tensor]:
        """What the encoder reads of pictures (B, C, H, W)."""
        full_mask(pixel_values, pixel_mask)
        pixel_values = pixel_values.to(self.enc_score_head.weight.dtype)
        if not torch.is_grad_enabled():  # convolutions are faster so, without gradients
            pixel_values = pixel_values.to(memory_format=torch.channels_last)
        maps = self.backbone.model(pixel_values, return_dict=True).feature_maps
        if len(maps) != len(self.config.encoder_in_channels):
            raise ValueError(
                f"The backbone returns {len(maps)} maps, but config.encoder_in_channels="
                f"{self.config.encoder_in_channels} are {len(self.config.encoder_in_channels)}: "
                "name as many stages in backbone_config.out_features."
            )
        return [project(map_) for project, map_ in zip(self.encoder_input_proj, maps, strict=True)]

    def read(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None,
        encoder_outputs: Any,
        targets: Targets | None,
        **recording: Any,
    ) -> Reading:
        """Everything; the encoder runs unless `encoder_outputs` are given."""
        if encoder_outputs is None:
            maps = self.look(pixel_values, pixel_mask)
            encoder_outputs = self.encoder(maps, return_dict=True, **recording)
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        config, sources = self.config, self.levels(encoder_outputs[0])
        shapes = [(source.shape[-2], source.shape[-1]) for source in sources]
        encoded = torch.cat([source.flatten(2).mT for source in sources], 1)
        noised = None
        if self.training and targets is not None and config.num_denoising > 0:
            noise = config.label_noise_ratio, config.box_noise_scale
            noised = noised_objects(targets, config.num_labels, config.num_denoising, *noise)
        fields, states = self.propose(encoded, shapes)
        reference, mask = fields.pop("reference"), None
        if noised is not None:
            states = torch.cat((self.denoising_class_embed(noised.classes), states), 1)
            reference = torch.cat((noised.boxes.to(reference), reference), 1)
            count = states.shape[1]
            custom = noised.mask(config.num_queries, states)
            mask = Mask(count, count, custom=custom)
            fields["denoising_meta_values"] = noised.meta(config.num_queries)
        reference = reference.detach()
        decoded = self.decoder(
            states, encoded, shapes, reference, mask, return_dict=True, **recording
        )
        between = {name: decoded[name] for name in decoded if name.startswith("intermediate_")}
        fields = {**between, "init_reference_points": reference, **fields}
        return Reading(decoded, encoder_outputs, fields, noised)

    def levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What the decoder reads: each of `maps`, and smaller ones of the last."""
        sources: list[Tensor] = []
        for index, project in enumerate(self.decoder_input_proj):
            last = maps[-1] if index <= len(maps) else sources[-1]
            sources.append(project(maps[index] if index < len(maps) else last))
        return sources

    def propose(self, encoded: Tensor, shapes: Shapes) -> tuple[dict[str, Any], Tensor]:
        """What the encoder says of every place, with the boxes of the best as ``reference``, and
        the states (B, Q, D) from which queries start."""
        self._check_size(shapes)
        anchors, usable = anchor_boxes(shapes, encoded, torch.finfo(encoded.dtype).max)
        memory = self.enc_output(encoded * usable)
        logits = self.enc_score_head(memory)
        boxes = self.enc_bbox_head(memory) + anchors
        best = logits.amax(-1).topk(self.config.num_queries, dim=1).indices[..., None]
        reference = boxes.take_along_dim(best, 1)
        fields = {
            "reference": reference,
            "enc_topk_logits": logits.take_along_dim(best, 1),
            "enc_topk_bboxes": reference.sigmoid(),
            "enc_outputs_class": logits,
            "enc_outputs_coord_logits": boxes,
        }
        if self.config.learn_initial_query:
            return fields, self.weight_embedding.weight.expand(len(encoded), -1, -1)
        return fields, memory.take_along_dim(best, 1).detach()

    def _check_size(self, shapes: Shapes) -> None:
        """Refuse pictures without training that are not of ``config.anchor_image_size``, and those
        with fewer places than queries."""
        size, places = self.config.anchor_image_size, sum(h * w for h, w in shapes)
        if size is not None and not self.training:
            wanted = [(size[0] // s, size[1] // s) for s in self.config.feat_strides]
            if list(shapes[: len(wanted)]) != wanted:
                raise ValueError(
                    f"The maps are of {list(shapes)} places, but config.anchor_image_size={size} "
                    f"asks for {wanted}: give pictures of that size, or set it to None."
                )
        if places < self.config.num_queries:
            raise ValueError(
                f"The pictures have {places} places, fewer than config.num_queries="
                f"{self.config.num_queries}: give larger pictures."
            )

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        *,
        labels: Targets | None = None,
        **recording: Any,
    ) -> RTDetrModelOutput:
        """States (B, Q, D) of the queries for pictures (B, C, H, W). In training the objects of
        `labels`, noised, are queries as well, which come first."""
        targets = check_labels(self, labels, pixel_values)
        found = self.read(pixel_values, pixel_mask, encoder_outputs, targets, **recording)
        return detection_output(RTDetrModelOutput, found.decoded, found.encoded, **found.fields)


class RTDetrForObjectDetection(RTDetrPreTrainedModel):
    """Classes and boxes of objects; each of the decoder's layers has heads of its own."""

    def __init__(self, config: RTDetrConfig) -> None:
        super().__init__(config)
        self.model = RTDetrModel(config)
        width, layers = config.d_model, range(config.decoder_layers)
        self.class_embed = nn.ModuleList(ScoreHead(width, config.num_labels) for _ in layers)
        self.bbox_embed = nn.ModuleList(RefiningHead(width, width, 4, 3) for _ in layers)
        self.model.decoder.class_embed = self.class_embed
        self.model.decoder.bbox_embed = self.bbox_embed
        self.post_init()

    def _own_ties(self, prefix: str) -> dict[str, str]:
        return super()._own_ties(prefix) | {
            f"{prefix}{kind}.{name}": f"{prefix}model.decoder.{kind}.{name}"
            for kind in ("class_embed", "bbox_embed")
            for name, _ in getattr(self, kind).named_parameters()
        }

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        *,
        labels: Targets | None = None,
        **recording: Any,
    ) -> RTDetrObjectDetectionOutput:
        """Logits (B, Q, classes), boxes and, for `labels` (a dict with ``class_labels`` and
        ``boxes`` for each picture), the loss; other arguments as of `RTDetrModel`."""
        targets = check_labels(self, labels, pixel_values)
        found = self.model.read(pixel_values, pixel_mask, encoder_outputs, targets, **recording)
        logits = found.fields["intermediate_logits"]
        boxes = found.fields["intermediate_reference_points"]
        output = {"logits": logits[:, -1], "pred_boxes": boxes[:, -1]}
        if targets is not None:
            output |= self.losses(found, targets)
        return detection_output(
            RTDetrObjectDetectionOutput, found.decoded, found.encoded, **output, **found.fields
        )

    def losses(self, found: Reading, targets: Targets) -> dict[str, Any]:
        """The loss, its parts and, with ``config.auxiliary_loss``, the auxiliary outputs."""
        fields, noised, complete = found.fields, found.noised, self.config.train_every_layer
        start = 0 if noised is None else noised.count
        layers = [
            {"logits": logits, "pred_boxes": boxes}
            for logits, boxes in zip(
                fields["intermediate_logits"].unbind(1),
                fields["intermediate_reference_points"].unbind(1),
                strict=True,
            )
        ]
        last = cut(layers[-1], start, None) if complete else layers[-1]
        if not self.config.auxiliary_loss:
            loss, parts = detection_loss(self.config, last, targets)
            return {"loss": loss, "loss_dict": parts}
        auxiliary = [cut(layer, start, None) for layer in layers[: -1 if complete else -2]]
        if complete:
            names = {"logits": "enc_topk_logits", "pred_boxes": "enc_topk_bboxes"}
            auxiliary.append({name: fields[field] for name, field in names.items()})
        denoised = [cut(layer, 0, start) for layer in (layers if complete else layers[:-1])]
        loss, parts = detection_loss(self.config, last, targets, auxiliary, noised, denoised)
        return {"loss": loss, "loss_dict": parts, "auxiliary_outputs": auxiliary}


def cut(prediction: dict[str, Tensor], start: int, stop: int | None) -> dict[str, Tensor]:
    """The queries from `start` to `stop` of a `prediction`."""
    return {name: values[:, start:stop] for name, values in prediction.items()}


def check_labels(model: Any, labels: Targets | None, pixel_values: Tensor) -> Targets | None:
    """`labels`, once they fit."""
    if labels is None:
        return None
    return check_targets(labels, len(pixel_values), model.config.num_labels)
