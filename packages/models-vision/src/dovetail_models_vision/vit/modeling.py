"""ViT: images as sequences of patches (arXiv 2010.11929).

BERT's encoder with the norms in front of each block, a first token that stands for the image, and
learned positions, which are resampled for images of another size on request. B batch, C channels,
H height, W width, N patches, T tokens, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.patches import PatchEmbedding, resample_positions
from dovetail.layers.projections import Linear
from dovetail.layers.vit import ViTEncoder
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.heads import ForImageClassification, ForMaskedImageModeling
from dovetail_models_vision.vit.configuration import ViTConfig


class ViTPatchEmbeddings(nn.Module):
    """Holds the projection of patches under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.projection = PatchEmbedding(
            config.image_size, config.patch_size, config.num_channels, config.hidden_size
        )

    def forward(self, pixel_values: Tensor, any_size: bool = False) -> Tensor:
        return self.projection(pixel_values, any_size)


class ViTEmbeddings(nn.Module):
    """Patches with their positions, behind the token that stands for the image."""

    def __init__(self, config: Any, use_mask_token: bool = False) -> None:
        super().__init__()
        width = config.hidden_size
        self.patch_embeddings = ViTPatchEmbeddings(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = self.build_mask_token(width) if use_mask_token else None
        count = self.patch_embeddings.projection.count
        self.position_embeddings = nn.Parameter(torch.zeros(1, count + 1, width))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def build_mask_token(self, width: int) -> nn.Parameter:
        """What stands in place of masked patches."""
        return nn.Parameter(torch.zeros(1, 1, width))

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Tensor:
        """Tokens (B, 1 + N, D) of images (B, C, H, W); `bool_masked_pos` (B, N) hides patches."""
        patches = self.patch_embeddings(pixel_values, interpolate_pos_encoding)
        if bool_masked_pos is not None:
            if self.mask_token is None:
                raise ValueError(
                    "bool_masked_pos needs a model with a mask token: build it with "
                    "use_mask_token=True, or use the class for masked image modelling."
                )
            hidden = bool_masked_pos.bool()[..., None]
            patches = torch.where(hidden, self.mask_token.to(patches.dtype), patches)
        tokens = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), 1)
        projection = self.patch_embeddings.projection
        grid = projection.grid(*pixel_values.shape[2:])
        positions = resample_positions(self.position_embeddings, projection.own_grid, grid)
        return self.dropout(tokens + positions)


class ViTPooler(nn.Module):
    """A dense layer over the first token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden_states[:, 0]))


class ImageEncoder(PreTrainedModel):
    """Base of ViT's relatives, which have its `embeddings` and its `encoder`."""

    encoder: ViTEncoder
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embeddings"

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range
        for name in ("cls_token", "position_embeddings"):
            parameter = module._parameters.get(name)
            if parameter is not None:
                parameter.data.normal_(std=std)
        mask_token = module._parameters.get("mask_token")
        if mask_token is not None:
            mask_token.data.zero_()

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        self.encoder.prune_heads(heads_to_prune)


class ViTPreTrainedModel(ImageEncoder):
    config_class = ViTConfig
    base_model_prefix = "vit"
    _no_split_modules: ClassVar[list[str]] = ["ViTEmbeddings", "ViTLayer"]


class ViTModel(ViTPreTrainedModel):
    """The encoder, with a pooler unless `add_pooling_layer` is False, and a token in place of
    masked patches with `use_mask_token`."""

    def __init__(
        self, config: ViTConfig, add_pooling_layer: bool = True, use_mask_token: bool = False
    ) -> None:
        super().__init__(config)
        self.embeddings = ViTEmbeddings(config, use_mask_token)
        self.encoder = ViTEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.pooler = ViTPooler(config) if add_pooling_layer else None
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        interpolate_pos_encoding: bool | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Tokens (B, 1 + N, D) of images (B, C, H, W), the first of which stands for the image, and
        that one pooled (B, D).

        `bool_masked_pos` (B, N) hides patches; `interpolate_pos_encoding` allows images of another
        size than ``config.image_size``.
        """
        tokens = self.embeddings(pixel_values, bool_masked_pos, bool(interpolate_pos_encoding))
        context = self.encoder_context(tokens, None, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, tokens, context, record_last=True)
        hidden_states = self.layernorm(hidden_states)
        pooled = None if self.pooler is None else self.pooler(hidden_states)
        return BaseModelOutputWithPooling(hidden_states, pooled)


class ViTForImageClassification(ForImageClassification, ViTPreTrainedModel):
    """A linear layer over the first token."""

    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}


class ViTForMaskedImageModeling(ForMaskedImageModeling, ViTPreTrainedModel):
    """Painting of masked patches."""
