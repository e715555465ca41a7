"""DPT: a ViT whose layers are fused into one fine map (arXiv 2103.13413).

The body is ViT's, with positions resampled for every size of image; a hybrid reads patches of a
BiT's last map. Any backbone may stand in its place. B batch, C channels, H height, W width,
T tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.backbones import load_backbone
from dovetail.errors import ConfigError
from dovetail.layers.patches import Grid, check_channels, resample_positions
from dovetail.layers.vit import ViTEncoder
from dovetail.outputs import (
    BaseModelOutputWithPooling,
    DepthEstimatorOutput,
    SemanticSegmenterOutput,
    Tensors,
)
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.dpt.configuration import DPTConfig
from dovetail_models_vision.dpt.neck import (
    DPTDepthEstimationHead,
    DPTNeck,
    DPTSemanticSegmentationHead,
    doubled,
)
from dovetail_models_vision.heads import semantic_loss
from dovetail_models_vision.vit.modeling import ImageEncoder, ViTPatchEmbeddings, ViTPooler


@dataclass
class BaseModelOutputWithPoolingAndIntermediateActivations(BaseModelOutputWithPooling):
    """`intermediate_activations` (B, C, H, W) are a hybrid's first maps."""

    intermediate_activations: Tensors | None = None


class DPTViTEmbeddings(nn.Module):
    """Patches with their positions, behind the token that stands for the image."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.build_patches(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        rows, columns = self.own_grid
        self.position_embeddings = nn.Parameter(torch.zeros(1, rows * columns + 1, width))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def build_patches(self, config: DPTConfig) -> None:
        """Create what makes patches, and say their `own_grid`."""
        self.patch_embeddings = ViTPatchEmbeddings(config)
        self.own_grid: Grid = self.patch_embeddings.projection.own_grid

    def patches(self, pixel_values: Tensor) -> tuple[Tensor, Grid, Tensors | None]:
        """Patches (B, T, D), their rows and columns, and maps that come before."""
        grid = self.patch_embeddings.projection.grid(*pixel_values.shape[2:])
        return self.patch_embeddings(pixel_values, any_size=True), grid, None

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensors | None]:
        """Tokens (B, 1 + T, D) of images (B, C, H, W), and maps that come before."""
        patches, grid, maps = self.patches(pixel_values)
        positions = resample_positions(
            self.position_embeddings, self.own_grid, grid, mode="bilinear"
        )
        tokens = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1)
        return self.dropout(tokens + positions), maps


class DPTViTHybridEmbeddings(DPTViTEmbeddings):
    """The places of a convolutional backbone's last map in place of patches."""

    def build_patches(self, config: DPTConfig) -> None:
        self.backbone = load_backbone(config)
        shape = config.backbone_featmap_shape or []
        if len(shape) != 4:
            raise ConfigError(
                f"backbone_featmap_shape={shape} must be the shape (batch, channels, height, "
                "width) of the backbone's last map."
            )
        self.own_grid = (shape[2], shape[3])
        self.channels = config.num_channels
        self.projection = nn.Conv2d(shape[1], config.hidden_size, 1)

    def patches(self, pixel_values: Tensor) -> tuple[Tensor, Grid, Tensors | None]:
        check_channels(pixel_values, self.channels)
        maps = self.backbone(pixel_values.to(self.projection.weight.dtype)).feature_maps
        last = self.projection(maps[-1])
        return last.flatten(2).transpose(1, 2), tuple(last.shape[-2:]), maps[:2]


class DPTPreTrainedModel(ImageEncoder):
    config_class = DPTConfig
    base_model_prefix = "dpt"
    _no_split_modules: ClassVar[list[str]] = ["ViTLayer", "DPTViTEmbeddings"]


class DPTModel(DPTPreTrainedModel):
    """The ViT, with a pooler unless `add_pooling_layer` is False."""

    def __init__(self, config: DPTConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        made = DPTViTHybridEmbeddings if config.is_hybrid else DPTViTEmbeddings
        self.embeddings = made(config)
        self.encoder = ViTEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.pooler = ViTPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """What makes tokens of images."""
        name = "projection" if self.config.is_hybrid else "patch_embeddings"
        return self.embeddings.get_submodule(name)

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPoolingAndIntermediateActivations:
        """Tokens (B, 1 + T, D) of images (B, C, H, W), the first of which stands for the image, and
        that one pooled (B, D)."""
        tokens, maps = self.embeddings(pixel_values)
        context = self.encoder_context(tokens, None, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, tokens, context, record_last=True)
        hidden_states = self.layernorm(hidden_states)
        pooled = None if self.pooler is None else self.pooler(hidden_states)
        return BaseModelOutputWithPoolingAndIntermediateActivations(
            hidden_states, pooled, intermediate_activations=maps
        )


class DPTFusion(DPTPreTrainedModel):
    """Body or backbone, and the neck; subclasses add a head in `build_head`."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__(config)
        if config.use_autobackbone:
            self.backbone = load_backbone(config)
        else:
            self.dpt = DPTModel(config, add_pooling_layer=False)
        self.neck = DPTNeck(config)
        self.build_head()
        self.post_init()

    def build_head(self) -> None:
        """Create what comes after the neck."""

    def get_input_embeddings(self) -> nn.Module:
        """What makes tokens of images."""
        body = self.backbone if self.config.use_autobackbone else self.dpt
        return body.get_input_embeddings()

    def fuse(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None,
        output_hidden_states: bool | None,
        output_attentions: bool | None,
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """The neck's maps of images (B, C, H, W), and what was recorded."""
        config = self.config
        wanted = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        recording = {"output_attentions": output_attentions, "return_dict": True}
        if config.use_autobackbone:
            outputs = self.backbone(pixel_values, output_hidden_states=wanted, **recording)
            states, patch = outputs.feature_maps, config.backbone_config.patch_size
        else:
            outputs = self.dpt(
                pixel_values, head_mask=head_mask, output_hidden_states=True, **recording
            )
            states, patch = self.chosen(outputs), config.patch_size
        grid = tuple(size // patch for size in pixel_values.shape[2:])
        if config.is_hybrid:
            grid = tuple(-(-size // 2) for size in outputs.intermediate_activations[1].shape[2:])
        names = ["attentions", *(["hidden_states"] if wanted else [])]
        recorded = {name: outputs[name] for name in names if name in outputs}
        return self.neck(states, grid), recorded

    def chosen(self, outputs: Any) -> list[Tensor]:
        """The outputs of the layers that are fused; a hybrid's maps stand for the first two."""
        maps = list(outputs.get("intermediate_activations") or ())
        indices = self.config.backbone_out_indices[len(maps) :]
        return [*maps, *(outputs.hidden_states[index + 1] for index in sorted(indices))]


class DPTForDepthEstimation(DPTFusion):
    """The depth of each pixel."""

    def build_head(self) -> None:
        self.head = DPTDepthEstimationHead(self.config)

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> DepthEstimatorOutput:
        """Depths (B, H, W), relative and inverse, of images (B, C, H, W).

        Raises:
            ValueError: `labels` are given: there is no one loss for depths.
        """
        if labels is not None:
            raise ValueError(
                "labels: depth estimation has no loss of its own here; leave labels out and "
                "compute one from predicted_depth."
            )
        maps, recorded = self.fuse(pixel_values, head_mask, output_hidden_states, output_attentions)
        depths = self.head(maps[self.config.head_in_index])
        return DepthEstimatorOutput(predicted_depth=depths, **recorded)


class DPTForSemanticSegmentation(DPTFusion):
    """The class of each pixel."""

    def build_head(self) -> None:
        config = self.config
        self.head = DPTSemanticSegmentationHead(config, config.semantic_classifier_dropout)
        self.auxiliary_head = (
            DPTSemanticSegmentationHead(config, 0.1) if config.use_auxiliary_head else None
        )

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SemanticSegmenterOutput:
        """Logits (B, labels, H, W) of images (B, C, H, W) and, for `labels` (B, H, W), the loss,
        of which that of an auxiliary head is a part."""
        config = self.config
        maps, recorded = self.fuse(pixel_values, head_mask, output_hidden_states, output_attentions)
        logits = doubled(self.head(maps[config.head_in_index]))
        loss = None
        if labels is not None:
            known = config.num_labels, config.semantic_loss_ignore_index
            loss = semantic_loss(logits, labels, *known)
            if self.auxiliary_head is not None:
                auxiliary = semantic_loss(self.auxiliary_head(maps[-1]), labels, *known)
                loss = loss + config.auxiliary_loss_weight * auxiliary
        return SemanticSegmenterOutput(loss=loss, logits=logits, **recorded)
