"""Deformable DETR: DETR on several maps, of which each query reads a few points (arXiv 2010.04159).

What it adds to DETR: maps of all scales in one sequence, deformable attention, boxes that each
layer refines, and a first stage that proposes boxes. B batch, Q queries, S places of all maps, L
maps, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput, ModelOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.deformable_detr.configuration import DeformableDetrConfig
from dovetail_models_vision.detection.backbone import ConvEncoder, full_mask, shrink_mask
from dovetail_models_vision.detection.boxes import inverse_sigmoid
from dovetail_models_vision.detection.deformable import (
    DeformableAttention,
    DeformableContext,
    Shapes,
    own_places,
    valid_ratios,
)
from dovetail_models_vision.detection.losses import deformable_criterion
from dovetail_models_vision.detection.matching import Targets, check_targets
from dovetail_models_vision.detection.outputs import (
    DeformableDetrDecoderOutput,
    DeformableDetrModelOutput,
    DeformableDetrObjectDetectionOutput,
    detection_output,
)
from dovetail_models_vision.detection.positions import position_embedding, waves
from dovetail_models_vision.detection.transformer import (
    BoxHead,
    DetectionLayer,
    PositionedAttention,
)

GROUPS = 32
PROPOSED_SIZE = 0.05
"""Width and height of proposals on the largest map, as parts of the picture."""


class DeformableDetrPreTrainedModel(PreTrainedModel):
    config_class = DeformableDetrConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_embeddings = "input_proj.0"
    _no_split_modules: ClassVar[list[str]] = ["ConvEncoder", "DetectionLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, DeformableAttention):
            module.initialise()
            for child in module.children():
                child._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.init_std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        elif isinstance(module, DeformableDetrModel):
            nn.init.normal_(module.level_embed)

    def context(self, picture: Picture, recorder: Recorder | None, **options: Any) -> Any:
        """The context of a stack over `picture`."""
        order = torch.arange(picture.states.shape[1], device=picture.states.device)
        return DeformableContext(
            self.config._attn_implementation,
            position_ids=order[None],
            positions=order,
            recorder=recorder,
            shapes=picture.shapes,
            visible=picture.mask,
            **options,
        )


class Picture(NamedTuple):
    """All maps in one sequence: states, positions (B, S, D) and mask (B, S) of their places,
    heights and widths, and which parts (B, L, 2) of them are picture."""

    states: Tensor
    places: Tensor
    mask: Tensor
    shapes: Shapes
    ratios: Tensor


class DeformableDetrBackbone(nn.Module):
    """Feature maps and the positions of their places."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__()
        stages = (2, 3, 4) if config.num_feature_levels > 1 else (4,)
        self.conv_encoder = ConvEncoder(config, stages)
        kind = config.position_embedding_type
        self.position_embedding = position_embedding(kind, config.d_model, offset=-0.5)


def layer(config: DeformableDetrConfig, index: int, decoder: bool) -> DetectionLayer:
    """A layer of the encoder or of the `decoder`."""
    width, levels = config.d_model, config.num_feature_levels
    heads = config.decoder_attention_heads if decoder else config.encoder_attention_heads
    points = config.decoder_n_points if decoder else config.encoder_n_points
    deformable = DeformableAttention(width, heads, levels, points, cross=decoder)
    dropout = config.attention_dropout
    return DetectionLayer(
        PositionedAttention(width, heads, index, dropout) if decoder else deformable,
        width,
        config.decoder_ffn_dim if decoder else config.encoder_ffn_dim,
        config.activation_function,
        encoder_attn=deformable if decoder else None,
        dropout=config.dropout,
        activation_dropout=config.activation_dropout,
    )


class DeformableDetrEncoder(DeformableDetrPreTrainedModel):
    """Reads the places of all maps."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__(config)
        layers = range(config.encoder_layers)
        self.layers = nn.ModuleList(layer(config, index, False) for index in layers)
        self.post_init()

    @backbone
    def forward(self, picture: Picture, recorder: Recorder | None = None) -> BaseModelOutput:
        """States (B, S, D) of the places."""
        reference = own_places(picture.shapes, picture.ratios)
        context = self.context(picture, recorder, places=picture.places, reference=reference)
        states = F.dropout(picture.states, self.config.dropout, self.training)
        return BaseModelOutput(self.run_layers(self.layers, states, context))


class DeformableDetrDecoder(DeformableDetrPreTrainedModel):
    """Turns queries into objects; a detector gives it the heads that refine boxes."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__(config)
        layers = range(config.decoder_layers)
        self.layers = nn.ModuleList(layer(config, index, True) for index in layers)
        self.bbox_embed: nn.ModuleList | None = None
        self.class_embed: nn.ModuleList | None = None
        self.post_init()

    @backbone
    def forward(
        self,
        states: Tensor,
        picture: Picture,
        encoded: Tensor,
        reference: Tensor,
        queries: Tensor,
        recorder: Recorder | None = None,
    ) -> DeformableDetrDecoderOutput:
        """States (B, Q, D) of the queries, whose positions are `queries`, after reading `encoded`
        (B, S, D) around `reference` points (B, Q, 2) or boxes (B, Q, 4)."""
        after, points = [], []
        for index, one in enumerate(self.layers):
            ratios = picture.ratios.repeat(1, 1, reference.shape[-1] // 2)
            context = self.context(
                picture,
                recorder,
                queries=queries,
                encoder_hidden_states=encoded,
                reference=reference[:, :, None] * ratios[:, None],
            )
            states = self.run_layers([one], states, context)
            if self.bbox_embed is not None:
                reference = refined(self.bbox_embed[index](states), reference).detach()
            after.append(states)
            points.append(reference)
        return DeformableDetrDecoderOutput(
            states,
            intermediate_hidden_states=torch.stack(after, 1),
            intermediate_reference_points=torch.stack(points, 1),
        )


def refined(change: Tensor, reference: Tensor) -> Tensor:
    """Boxes (..., 4): a `reference` box changed before the sigmoid, or one around a point."""
    start = F.pad(inverse_sigmoid(reference), (0, 4 - reference.shape[-1]))
    return (change + start).sigmoid()


class Proposals(NamedTuple):
    """What the first stage says of each place, and what the second starts from: boxes (B, Q, 4),
    positions and states (B, Q, D)."""

    logits: Tensor
    boxes: Tensor
    reference: Tensor
    queries: Tensor
    states: Tensor


class DeformableDetrModel(DeformableDetrPreTrainedModel):
    """Backbone, encoder and decoder without heads."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__(config)
        width = config.d_model
        self.backbone = DeformableDetrBackbone(config)
        self.input_proj = self.projections(config)
        self.encoder = DeformableDetrEncoder(config)
        self.decoder = DeformableDetrDecoder(config)
        self.level_embed = nn.Parameter(torch.empty(config.num_feature_levels, width))
        if config.two_stage:
            self.enc_output = Linear(width, width)
            self.enc_output_norm = nn.LayerNorm(width)
            self.pos_trans = Linear(width * 2, width * 2)
            self.pos_trans_norm = nn.LayerNorm(width * 2)
        else:
            self.query_position_embeddings = nn.Embedding(config.num_queries, width * 2)
            self.reference_points = Linear(width, 2)
        self.post_init()

    def projections(self, config: DeformableDetrConfig) -> nn.ModuleList:
        """One for each map; further maps are made of the last."""
        channels = self.backbone.conv_encoder.intermediate_channel_sizes
        width, count = config.d_model, config.num_feature_levels
        if len(channels) > count:
            raise ValueError(
                f"The backbone returns {len(channels)} maps, config.num_feature_levels is {count}: "
                "name fewer stages in backbone_config.out_features."
            )
        layers = [nn.Conv2d(size, width, 1) for size in channels]
        for index in range(len(channels), count):
            size = channels[-1] if index == len(channels) else width
            layers.append(nn.Conv2d(size, width, 3, stride=2, padding=1))
        return nn.ModuleList(nn.Sequential(one, nn.GroupNorm(GROUPS, width)) for one in layers)

    def get_encoder(self) -> DeformableDetrEncoder:
        """The encoder."""
        return self.encoder

    def get_decoder(self) -> DeformableDetrDecoder:
        """The decoder."""
        return self.decoder

    def freeze_backbone(self) -> None:
        """Train no weight of the backbone."""
        self.backbone.conv_encoder.model.requires_grad_(False)

    def unfreeze_backbone(self) -> None:
        """Train every weight of the backbone."""
        self.backbone.conv_encoder.model.requires_grad_(True)

    def look(self, pixel_values: Tensor, pixel_mask: Tensor | None) -> Picture:
        """What the encoder reads of pictures (B, C, H, W)."""
        pixel_mask = full_mask(pixel_values, pixel_mask)
        pixel_values = pixel_values.to(self.level_embed.dtype)
        found = self.backbone.conv_encoder(pixel_values, pixel_mask)
        maps: list[Tensor] = []
        masks: list[Tensor] = []
        for index, project in enumerate(self.input_proj):
            if index < len(found):
                source, mask = found[index]
            else:
                source, mask = found[-1][0] if index == len(found) else maps[-1], None
            maps.append(project(source))
            masks.append(shrink_mask(pixel_mask, maps[-1]) if mask is None else mask)
        places = [
            self.backbone.position_embedding(mask, source.dtype).flatten(2).mT + level
            for mask, source, level in zip(masks, maps, self.level_embed, strict=True)
        ]
        return Picture(
            torch.cat([source.flatten(2).mT for source in maps], 1),
            torch.cat(places, 1),
            torch.cat([mask.flatten(1) for mask in masks], 1),
            [(source.shape[-2], source.shape[-1]) for source in maps],
            valid_ratios(masks, maps[0].dtype),
        )

    def propose(self, encoded: Tensor, picture: Picture) -> Proposals:
        """The first stage: the places that look most like an object, and their boxes."""
        heads = self.decoder
        if heads.class_embed is None or heads.bbox_embed is None:
            raise ValueError(
                "two_stage=True needs the heads of a detector, which propose boxes: use "
                "DeformableDetrForObjectDetection."
            )
        boxes, usable = self.anchors(picture)
        states = self.enc_output_norm(self.enc_output(encoded * usable))
        logits = heads.class_embed[-1](states)
        boxes = heads.bbox_embed[-1](states) + boxes
        best = logits[..., :1].topk(self.config.two_stage_num_proposals, 1).indices
        chosen = boxes.take_along_dim(best, 1).detach()
        angles = chosen.sigmoid() * (2 * torch.pi)
        signal = waves(angles, self.config.d_model // 2).flatten(2).to(encoded.dtype)
        queries, start = self.pos_trans_norm(self.pos_trans(signal)).chunk(2, -1)
        return Proposals(logits, boxes, chosen.sigmoid(), queries, start)

    def anchors(self, picture: Picture) -> tuple[Tensor, Tensor]:
        """A box (B, S, 4) around every place, before the sigmoid, and which (B, S, 1) can be used:
        others are infinite."""
        centers = own_places(picture.shapes, picture.ratios)
        parts = []
        for level, part in enumerate(centers.split([h * w for h, w in picture.shapes], 1)):
            center = part[:, :, 0] / picture.ratios[:, None, 0]
            parts.append(torch.cat((center, torch.full_like(center, PROPOSED_SIZE * 2**level)), -1))
        boxes = torch.cat(parts, 1)
        inside = ((boxes > 0.01) & (boxes < 0.99)).all(-1)
        usable = (inside & picture.mask)[..., None]
        return boxes.logit().masked_fill(~usable, torch.inf), usable

    def read(
        self, picture: Picture, encoder_outputs: Any = None, **recording: Any
    ) -> tuple[ModelOutput, ModelOutput, dict[str, Tensor]]:
        """Outputs of decoder and encoder, and where the decoder started, with what was proposed;
        the encoder runs unless `encoder_outputs` are given."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(picture, return_dict=True, **recording)
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        encoded, proposed = encoder_outputs[0], {}
        if self.config.two_stage:
            logits, boxes, reference, queries, states = self.propose(encoded, picture)
            proposed = {"enc_outputs_class": logits, "enc_outputs_coord_logits": boxes}
        else:
            table = self.query_position_embeddings.weight.expand(len(encoded), -1, -1)
            queries, states = table.chunk(2, -1)
            reference = self.reference_points(queries).sigmoid()
        decoded = self.decoder(
            states, picture, encoded, reference, queries, return_dict=True, **recording
        )
        between = {name: decoded[name] for name in decoded if name.startswith("intermediate_")}
        return decoded, encoder_outputs, {"init_reference_points": reference, **between, **proposed}

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        **recording: Any,
    ) -> DeformableDetrModelOutput:
        """States (B, Q, D) of the queries for pictures (B, C, H, W), of which `pixel_mask` (B, H,
        W) says by 1 where they are and by 0 where padding is."""
        picture = self.look(pixel_values, pixel_mask)
        decoded, encoded, fields = self.read(picture, encoder_outputs, **recording)
        return detection_output(DeformableDetrModelOutput, decoded, encoded, **fields)


class DeformableDetrForObjectDetection(DeformableDetrPreTrainedModel):
    """Classes and boxes of objects. Each layer has heads of its own where boxes are refined, else
    they share one; with two stages the last proposes."""

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__(config)
        self.model = DeformableDetrModel(config)
        count, width = config.decoder_layers + config.two_stage, config.d_model
        own = range(count if config.with_box_refine else 1)
        classes = [Linear(width, config.num_labels) for _ in own]
        boxes = [BoxHead(width, width, 4, 3) for _ in own]
        self.class_embed = nn.ModuleList((classes * count)[:count])
        self.bbox_embed = nn.ModuleList((boxes * count)[:count])
        if config.with_box_refine:
            self.model.decoder.bbox_embed = self.bbox_embed
        if config.two_stage:
            self.model.decoder.class_embed = self.class_embed
        self.post_init()

    def _own_ties(self, prefix: str) -> dict[str, str]:
        ties = super()._own_ties(prefix)
        for kind in ("class_embed", "bbox_embed"):
            shown = ["", "model.decoder."][: 1 + (getattr(self.model.decoder, kind) is not None)]
            for name, _ in getattr(self, kind).named_parameters(remove_duplicate=False):
                index, _, rest = name.partition(".")
                source = f"{kind}.{index if self.config.with_box_refine else 0}.{rest}"
                names = {f"{where}{kind}.{name}" for where in shown} - {source}
                ties |= {prefix + tied: prefix + source for tied in names}
        return ties

    def predict(self, index: int, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the layer `index` says: ``logits`` (B, Q, classes), ``pred_boxes`` (B, Q, 4)."""
        states = fields["intermediate_hidden_states"][:, index]
        before = fields["intermediate_reference_points"][:, index - 1]
        reference = before if index else fields["init_reference_points"]
        boxes = refined(self.bbox_embed[index](states), reference)
        return {"logits": self.class_embed[index](states), "pred_boxes": boxes}

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        *,
        encoder_outputs: Any = None,
        labels: Targets | None = None,
        **recording: Any,
    ) -> DeformableDetrObjectDetectionOutput:
        """Logits, boxes and, for `labels` (a dict with ``class_labels`` and ``boxes`` for each
        picture), the loss; other arguments as of `DeformableDetrModel`."""
        config = self.config
        picture = self.model.look(pixel_values, pixel_mask)
        decoded, encoded, fields = self.model.read(picture, encoder_outputs, **recording)
        *between, last = (self.predict(index, fields) for index in range(config.decoder_layers))
        output: dict[str, Any] = dict(last)
        if labels is not None:
            targets = check_targets(labels, len(pixel_values), config.num_labels)
            output |= self.losses(last, between, targets)
        return detection_output(
            DeformableDetrObjectDetectionOutput, decoded, encoded, **output, **fields
        )

    def losses(self, last: Any, between: Any, targets: Targets) -> dict[str, Any]:
        """The loss, its parts and, with ``config.auxiliary_loss``, the auxiliary outputs."""
        between = between if self.config.auxiliary_loss else []
        others = {str(index): output for index, output in enumerate(between)}
        loss, parts = deformable_criterion(self.config)(last, targets, others)
        return {"loss": loss, "loss_dict": parts, "auxiliary_outputs": between or None}
