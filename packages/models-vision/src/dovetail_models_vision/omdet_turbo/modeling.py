"""OmDet-Turbo: a real-time detector of what a text names (arXiv 2403.06892).

RT-DETR's hybrid encoder and queries; classes are embeddings of texts, to which queries are
compared, and the task is a text that queries attend to. B batch, Q queries, T tokens of the task, C
classes, S places of all maps, D width, E width of embeddings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail.mapping import Rename
from dovetail.masks import bidirectional_mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput, ModelOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.detection.anchors import anchor_boxes
from dovetail_models_vision.detection.boxes import inverse_sigmoid
from dovetail_models_vision.detection.convolutions import Projection
from dovetail_models_vision.detection.deformable import (
    DeformableAttention,
    DeformableContext,
    Shapes,
)
from dovetail_models_vision.detection.hybrid import AttentionStack, MapJoints, attend_to_maps
from dovetail_models_vision.detection.transformer import (
    BoxHead,
    DetectionLayer,
    PositionedAttention,
)
from dovetail_models_vision.omdet_turbo.backbone import VisionBackbone, uses_timm
from dovetail_models_vision.omdet_turbo.configuration import OmDetTurboConfig
from dovetail_models_vision.omdet_turbo.outputs import (
    OmDetTurboDecoderOutput,
    OmDetTurboObjectDetectionOutput,
)
from dovetail_models_vision.omdet_turbo.text import LanguageBackbone
from dovetail_models_vision.swin.timm import TimmSwinNames

SHARPNESS = 1 / 0.07
"""By what cosines are multiplied."""


class OmDetTurboPreTrainedModel(PreTrainedModel):
    """Base of the classes."""

    config_class = OmDetTurboConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["DetectionLayer", "FusedLayer"]
    weight_mapping = (
        TimmSwinNames("vision_backbone.vision_backbone.", uses_timm),
        *(
            Rename(f"{layer}.self_attn.{old}.*", f"{layer}.self_attn.{new}.*")
            for layer in ("encoder.encoder.*.layers.*", "decoder.layers.*")
            for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
        ),
        Rename("decoder.layers.*.norm1.*", "decoder.layers.*.self_attn_layer_norm.*"),
        Rename("decoder.layers.*.norm2.*", "decoder.layers.*.encoder_attn_layer_norm.*"),
        Rename("decoder.layers.*.norm3.*", "decoder.layers.*.final_layer_norm.*"),
        Rename("decoder.layers.*.linear1.*", "decoder.layers.*.fc1.*"),
        Rename("decoder.layers.*.linear2.*", "decoder.layers.*.fc2.*"),
        Rename("decoder.layers.*.cross_attn.*.*", "decoder.layers.*.encoder_attn.*.*"),
    )

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, DeformableAttention):
            module.initialise()
            for child in module.children():
                child._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=self.config.init_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, LanguageBackbone):
            nn.init.normal_(module.text_projection, std=self.config.text_projection_in_dim**-0.5)


class OmDetTurboHybridEncoder(MapJoints, OmDetTurboPreTrainedModel):
    """Attention within some of the maps, convolutions between all."""

    def __init__(self, config: OmDetTurboConfig) -> None:
        super().__init__(config)
        width, eps = config.d_model, config.batch_norm_eps
        self.channel_projection_layers = nn.ModuleList(
            Projection(channels, width) for channels in config.encoder_in_channels
        )
        self.encoder = nn.ModuleList(
            AttentionStack([self.layer(index) for index in range(config.encoder_layers)], config)
            for _ in config.encoder_projection_indices
        )
        self.build_joints(
            len(config.encoder_in_channels),
            width,
            int(width * config.hidden_expansion),
            act=config.conv_norm_activation,
            block_act=config.csp_activation,
            eps=eps,
        )
        self.post_init()

    def layer(self, index: int) -> DetectionLayer:
        """A layer of attention."""
        config = self.config
        width, dropout = config.d_model, config.encoder_dropout
        return DetectionLayer(
            PositionedAttention(width, config.encoder_attention_heads, index, dropout),
            width,
            config.encoder_dim_feedforward,
            config.encoder_feedforward_activation,
            dropout=dropout,
            activation_dropout=config.encoder_feedforward_dropout,
            eps=config.layer_norm_eps,
        )

    @backbone
    def forward(self, maps: list[Tensor], recorder: Recorder | None = None) -> Any:
        """Maps (B, D, H, W) of the backbone's `maps`."""
        layers = zip(self.channel_projection_layers, maps, strict=True)
        projected = [project(map_) for project, map_ in layers]
        indices = self.config.encoder_projection_indices if self.config.encoder_layers else []
        read = attend_to_maps(self, projected, indices, self.encoder, recorder)
        return BaseModelOutput(self.join(read))  # type: ignore[arg-type]


class FusedLayer(DetectionLayer):
    """A decoder's layer, in which queries and the task's tokens attend to each other, then queries
    to the picture."""

    def forward(self, hidden_states: Tensor, context: DeformableContext) -> Tensor:
        """States (B, Q + T, D) of queries and tokens; the context has positions for all."""
        count = context.reference.shape[1]  # type: ignore[union-attr]
        states = self.add(self.self_attn, self.self_attn_layer_norm, hidden_states, context)
        own = replace(context, queries=context.queries[:, :count])  # type: ignore[index]
        queries = self.add(self.encoder_attn, self.encoder_attn_layer_norm, states[:, :count], own)
        queries = self.add(self.mlp, self.final_layer_norm, queries)
        return torch.cat((queries, states[:, count:]), 1)


class TaskEncoder(nn.Module):
    """A perceptron beside the identity, for the task's tokens."""

    def __init__(self, config: OmDetTurboConfig) -> None:
        super().__init__()
        width, inner = config.class_embed_dim, config.task_encoder_hidden_dim
        self.mlp = nn.ModuleDict({"linear1": Linear(width, inner), "linear2": Linear(inner, width)})
        self.res1 = nn.ModuleDict({"norm1": nn.LayerNorm(width, config.layer_norm_eps)})
        self.dropout = config.decoder_dropout
        self.activation = activation(config.decoder_activation)

    def forward(self, x: Tensor) -> Tensor:
        """States (B, T, E) of states (B, T, E)."""
        inner = F.dropout(self.activation(self.mlp["linear1"](x)), self.dropout, self.training)
        change = F.dropout(self.mlp["linear2"](inner), self.dropout, self.training)
        return self.res1["norm1"](x + change)


class OmDetTurboDecoder(OmDetTurboPreTrainedModel):
    """Turns places that look like the classes into boxes and scores."""

    def __init__(self, config: OmDetTurboConfig) -> None:
        super().__init__(config)
        width, embed, eps = config.decoder_hidden_dim, config.class_embed_dim, config.layer_norm_eps
        layers = range(config.decoder_num_layers)
        self.channel_projection_layers = nn.ModuleList(
            Projection(channels, width) for channels in config.vision_features_channels
        )
        self.task_encoder = TaskEncoder(config)
        self.task_project = nn.Identity() if embed == width else Linear(embed, width)
        self.layers = nn.ModuleList(self.layer(index) for index in layers)
        if config.learn_initial_query:
            self.tgt_embed = nn.Embedding(config.num_queries, width)
        self.query_position_head = BoxHead(4, 2 * width, width, 2)
        norm = nn.LayerNorm(width, eps)
        self.encoder_vision_features = nn.Sequential(Linear(width, width), norm)
        self.encoder_class_head = Linear(embed, width)
        self.encoder_bbox_head = BoxHead(width, width, 4, 3)
        self.decoder_class_head = nn.ModuleList(Linear(embed, width) for _ in layers)
        self.decoder_bbox_head = nn.ModuleList(BoxHead(width, width, 4, 3) for _ in layers)
        self.post_init()

    def layer(self, index: int) -> FusedLayer:
        """A layer."""
        config = self.config
        width, heads = config.decoder_hidden_dim, config.decoder_num_heads
        levels, points = config.num_feature_levels, config.decoder_num_points
        dropout = config.decoder_dropout
        return FusedLayer(
            PositionedAttention(width, heads, index, dropout),
            width,
            config.decoder_dim_feedforward,
            config.decoder_activation,
            encoder_attn=DeformableAttention(width, heads, levels, points, cross=True),
            dropout=dropout,
            activation_dropout=dropout,
            eps=config.layer_norm_eps,
        )

    def similarity(self, states: Tensor, classes: Tensor) -> Tensor:
        """How alike (B, Q, C) `states` (B, Q, D) and projected `classes` (B, C, D) are."""
        if self.config.class_distance_type == "dot":
            return states @ classes.mT
        return SHARPNESS * (F.normalize(states, dim=-1) @ F.normalize(classes, dim=-1).mT)

    def propose(self, encoded: Tensor, shapes: Shapes, classes: Tensor) -> dict[str, Any]:
        """The places that look most like a class."""
        anchors, usable = anchor_boxes(shapes, encoded, torch.inf)
        memory = self.encoder_vision_features(encoded * usable)
        scores = self.similarity(memory, self.encoder_class_head(classes))
        boxes = self.encoder_bbox_head(memory) + anchors
        best = scores.amax(-1).topk(self.config.num_queries, dim=1).indices[..., None]
        reference = boxes.take_along_dim(best, 1)
        states = memory.take_along_dim(best, 1)
        if self.config.learn_initial_query:
            states = self.tgt_embed.weight.expand(len(encoded), -1, -1)
        elif self.training:
            states = states.detach()
        return {
            "states": states,
            "reference": reference.detach() if self.training else reference,
            "encoder_coord_logits": reference.sigmoid(),
            "encoder_class_logits": scores.take_along_dim(best, 1),
            "init_reference_points": anchors,
        }

    @backbone
    def forward(
        self,
        maps: list[Tensor],
        classes: Tensor,
        tasks: Tensor,
        task_mask: Tensor,
        recorder: Recorder | None = None,
    ) -> ModelOutput:
        """Boxes (layers, B, Q, 4) and scores (layers, B, Q, C), in training after each layer, else
        after the last; of `classes` (B, C, E) and tokens `tasks` (B, T, E) with their mask."""
        layers = zip(self.channel_projection_layers, maps, strict=True)
        sources = [project(map_) for project, map_ in layers]
        shapes = [(source.shape[-2], source.shape[-1]) for source in sources]
        encoded = torch.cat([source.flatten(2).mT for source in sources], 1)
        fields = self.propose(encoded, shapes, classes)
        states, boxes = fields.pop("states"), fields.pop("reference").sigmoid()
        tokens, count = self.task_project(self.task_encoder(tasks)), states.shape[1]
        both = torch.cat((states, tokens), 1)
        mask = bidirectional_mask(both, F.pad(task_mask, (count, 0), value=1))
        order = torch.arange(both.shape[1], device=both.device)
        found, scores = [], []
        before = boxes
        for index, one in enumerate(self.layers):
            if recorder is not None:
                recorder.add_hidden_state(both[:, :count])
            context = DeformableContext(
                self.config._attn_implementation,
                position_ids=order[None],
                positions=order,
                mask=mask,
                recorder=recorder,
                encoder_hidden_states=encoded,
                queries=F.pad(self.query_position_head(boxes), (0, 0, 0, tokens.shape[1])),
                shapes=shapes,
                reference=boxes[:, :, None],
            )
            both = one(both, context)
            states = both[:, :count]
            change = self.decoder_bbox_head[index](states)
            refined = (change + inverse_sigmoid(boxes)).sigmoid()
            last = index == len(self.layers) - 1
            if self.training or last:
                scores.append(self.similarity(states, self.decoder_class_head[index](classes)))
                found.append((change + inverse_sigmoid(before)).sigmoid())
            if last and not self.training:
                break
            boxes = refined.detach() if self.training else refined
            before = refined if self.training else boxes
        return OmDetTurboDecoderOutput(
            states,
            decoder_coords=torch.stack(found),
            decoder_classes=torch.stack(scores),
            intermediate_reference_points=boxes,
            **fields,
        )


class OmDetTurboForObjectDetection(OmDetTurboPreTrainedModel):
    """Boxes of what texts name. What was made of texts is remembered without gradients."""

    def __init__(self, config: OmDetTurboConfig) -> None:
        super().__init__(config)
        self.vision_backbone = VisionBackbone(config)
        self.language_backbone = LanguageBackbone(config)
        self.encoder = OmDetTurboHybridEncoder(config)
        self.decoder = OmDetTurboDecoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The text encoder's."""
        return self.language_backbone.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the text encoder's."""
        self.language_backbone.model.set_input_embeddings(value)

    def get_language_embedding(
        self,
        classes_input_ids: Tensor,
        classes_attention_mask: Tensor,
        tasks_input_ids: Tensor,
        tasks_attention_mask: Tensor,
        classes_structure: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (C, B, E) of the classes of each picture, with zeros where it has fewer than
        others, states (T, B, D) of the tasks and their mask (B, T).

        `classes_structure` (B,) says how many of the classes (sum, tokens) are of each picture.
        """
        sizes = [int(size) for size in classes_structure]
        if sum(sizes) != len(classes_input_ids) or len(sizes) != len(tasks_input_ids):
            raise ValueError(
                f"classes_structure={sizes} shares out {sum(sizes)} classes among {len(sizes)} "
                f"pictures, but there are {len(classes_input_ids)} in classes_input_ids and "
                f"{len(tasks_input_ids)} tasks in tasks_input_ids."
            )
        classes = self.language_backbone.classes(classes_input_ids, classes_attention_mask)
        tasks = self.language_backbone.tasks(tasks_input_ids, tasks_attention_mask)
        groups = torch.stack(classes).split(sizes)
        return (
            nn.utils.rnn.pad_sequence(list(groups)),
            nn.utils.rnn.pad_sequence([states for states, _ in tasks]),
            nn.utils.rnn.pad_sequence([mask for _, mask in tasks], batch_first=True),
        )

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        classes_input_ids: Tensor,
        classes_attention_mask: Tensor,
        tasks_input_ids: Tensor,
        tasks_attention_mask: Tensor,
        classes_structure: Tensor,
        labels: Any = None,
        **recording: Any,
    ) -> OmDetTurboObjectDetectionOutput:
        """Boxes and scores for pictures (B, C, H, W), each with its classes and its task."""
        if labels is not None:
            raise ValueError("OmDet-Turbo has no published loss: leave labels out.")
        texts = self.get_language_embedding(
            classes_input_ids,
            classes_attention_mask,
            tasks_input_ids,
            tasks_attention_mask,
            classes_structure,
        )
        classes, tasks, mask = texts
        pixel_values = pixel_values.to(self.language_backbone.text_projection.dtype)
        maps = self.vision_backbone(pixel_values)
        encoded = self.encoder(maps, return_dict=True, **recording)
        decoded = self.decoder(
            encoded[0], classes.transpose(0, 1), tasks.transpose(0, 1), mask, return_dict=True,
            **recording,
        )  # fmt: skip
        attentions, read = decoded.get("attentions"), encoded.get("attentions")
        return OmDetTurboObjectDetectionOutput(
            decoder_coord_logits=decoded["decoder_coords"][-1],
            decoder_class_logits=decoded["decoder_classes"][-1],
            init_reference_points=decoded["init_reference_points"],
            intermediate_reference_points=decoded["intermediate_reference_points"],
            encoder_coord_logits=decoded["encoder_coord_logits"],
            encoder_class_logits=decoded["encoder_class_logits"],
            encoder_extracted_states=encoded[0],
            decoder_hidden_states=decoded.get("hidden_states"),
            decoder_attentions=attentions and (attentions, decoded["cross_attentions"]),
            encoder_hidden_states=encoded.get("hidden_states"),
            encoder_attentions=read
            and tuple(
                read[start : start + self.config.encoder_layers]
                for start in range(0, len(read), self.config.encoder_layers)
            ),
        )
