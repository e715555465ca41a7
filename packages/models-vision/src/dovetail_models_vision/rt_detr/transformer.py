"""RT-DETR's parts: backbone, hybrid encoder, decoder (arXiv 2304.08069).

B batch, Q queries, S places of all maps, D width.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import load_backbone
from dovetail.layers.projections import Linear
from dovetail.masks import Mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.detection.backbone import freeze_batch_norms
from dovetail_models_vision.detection.boxes import inverse_sigmoid
from dovetail_models_vision.detection.deformable import (
    DeformableAttention,
    DeformableContext,
    Shapes,
)
from dovetail_models_vision.detection.hybrid import AttentionStack, MapJoints, attend_to_maps
from dovetail_models_vision.detection.outputs import RTDetrDecoderOutput
from dovetail_models_vision.detection.transformer import (
    BoxHead,
    DetectionLayer,
    PositionedAttention,
)
from dovetail_models_vision.rt_detr.configuration import RTDetrConfig


class RTDetrPreTrainedModel(PreTrainedModel):
    """Base of the classes."""

    config_class = RTDetrConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"
    input_embeddings = "encoder_input_proj.0"
    _no_split_modules: ClassVar[list[str]] = ["ConvEncoder", "DetectionLayer"]

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, DeformableAttention):
            module.initialise()
            for child in module.children():
                child._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, RefiningHead):
            module.initialise()
            module.layers[-1]._is_initialized = True  # type: ignore[assignment]
        elif isinstance(module, ScoreHead):
            config = self.config
            module.initialise(config.initializer_bias_prior_prob or 1 / (config.num_labels + 1))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.xavier_uniform_(module.weight)


class ScoreHead(Linear):
    """Scores of classes, by which at first nothing is an object, as most places are not."""

    def initialise(self, prior: float) -> None:
        """Say of everything that it is an object with the probability `prior`."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.constant_(self.bias, -math.log((1 - prior) / prior))


class RefiningHead(BoxHead):
    """What is to be changed about boxes: at first nothing."""

    def initialise(self) -> None:
        """Change nothing."""
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]


class ConvEncoder(nn.Module):
    """The backbone under the checkpoint's name."""

    def __init__(self, config: RTDetrConfig) -> None:
        super().__init__()
        self.model = load_backbone(config)
        if config.freeze_backbone_batch_norms:
            freeze_batch_norms(self.model)


class EncoderLayer(DetectionLayer):
    """Before whose MLP, with ``config.normalize_before``, the residual is normalised, too."""

    def forward(self, hidden_states: Tensor, context: Any) -> Tensor:
        """States (B, S, D) after the layer."""
        if not self.pre_norm:
            return super().forward(hidden_states, context)
        states = self.add(self.self_attn, self.self_attn_layer_norm, hidden_states, context)
        states = self.final_layer_norm(states)
        return states + F.dropout(self.mlp(states), self.dropout, self.training)


class RTDetrHybridEncoder(MapJoints, RTDetrPreTrainedModel):
    """Attention within some of the maps, convolutions between all."""

    def __init__(self, config: RTDetrConfig) -> None:
        super().__init__(config)
        self.encoder = nn.ModuleList(
            AttentionStack([self.layer(index) for index in range(config.encoder_layers)], config)
            for _ in config.encode_proj_layers
        )
        width, act = config.encoder_hidden_dim, config.activation_function
        inner, maps = int(width * config.hidden_expansion), len(config.encoder_in_channels)
        eps = config.batch_norm_eps
        self.build_joints(maps, width, inner, act=act, block_act=act, eps=eps)
        self.post_init()

    def layer(self, index: int) -> EncoderLayer:
        """A layer of attention."""
        config = self.config
        width, dropout = config.encoder_hidden_dim, config.dropout
        return EncoderLayer(
            PositionedAttention(width, config.encoder_attention_heads, index, dropout),
            width,
            config.encoder_ffn_dim,
            config.encoder_activation_function,
            dropout=dropout,
            activation_dropout=config.activation_dropout,
            eps=config.layer_norm_eps,
            pre_norm=config.normalize_before,
        )

    @backbone
    def forward(self, inputs_embeds: list[Tensor], recorder: Recorder | None = None) -> Any:
        """Maps (B, D, H, W) of `inputs_embeds`, which are as many."""
        indices = self.config.encode_proj_layers if self.config.encoder_layers else []
        maps = attend_to_maps(self, inputs_embeds, indices, self.encoder, recorder)
        return BaseModelOutput(self.join(maps))  # type: ignore[arg-type]


class RTDetrDecoder(RTDetrPreTrainedModel):
    """Turns queries into objects; a detector gives it the heads, which refine boxes."""

    def __init__(self, config: RTDetrConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(self.layer(index) for index in range(config.decoder_layers))
        self.query_pos_head = BoxHead(4, config.d_model * 2, config.d_model, 2)
        self.bbox_embed: nn.ModuleList | None = None
        self.class_embed: nn.ModuleList | None = None
        self.post_init()

    def layer(self, index: int) -> DetectionLayer:
        """A layer."""
        config = self.config
        width, heads = config.d_model, config.decoder_attention_heads
        levels, points = config.num_feature_levels, config.decoder_n_points
        return DetectionLayer(
            PositionedAttention(width, heads, index, config.attention_dropout),
            width,
            config.decoder_ffn_dim,
            config.decoder_activation_function,
            encoder_attn=DeformableAttention(width, heads, levels, points, cross=True),
            dropout=config.dropout,
            activation_dropout=config.activation_dropout,
            eps=config.layer_norm_eps,
        )

    @backbone
    def forward(
        self,
        states: Tensor,
        encoded: Tensor,
        shapes: Shapes,
        reference: Tensor,
        mask: Mask | None = None,
        recorder: Recorder | None = None,
    ) -> RTDetrDecoderOutput:
        """States (B, Q, D) of the queries, which look at `encoded` (B, S, D), maps of `shapes`,
        within boxes whose logits are `reference` (B, Q, 4)."""
        order = torch.arange(states.shape[1], device=states.device)
        boxes = reference.sigmoid()
        after, logits, refined = [], [], []
        for index, one in enumerate(self.layers):
            context = DeformableContext(
                self.config._attn_implementation,
                position_ids=order[None],
                positions=order,
                mask=mask,
                recorder=recorder,
                encoder_hidden_states=encoded,
                queries=self.query_pos_head(boxes),
                shapes=shapes,
                reference=boxes[:, :, None],
            )
            states = self.run_layers([one], states, context)
            after.append(states)
            if self.bbox_embed is not None and self.class_embed is not None:
                better = (self.bbox_embed[index](states) + inverse_sigmoid(boxes)).sigmoid()
                logits.append(self.class_embed[index](states))
                boxes = better.detach()
            else:
                better = boxes
            refined.append(better)
        return RTDetrDecoderOutput(
            states,
            intermediate_hidden_states=torch.stack(after, 1),
            intermediate_logits=torch.stack(logits, 1) if logits else None,
            intermediate_reference_points=torch.stack(refined, 1),
        )
