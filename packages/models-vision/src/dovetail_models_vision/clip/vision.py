"""CLIP's image encoder: ViT with a norm in front of the layers, whose first token stands for the
image.

B batch, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.patches import PatchEmbedding, resample_positions
from dovetail.layers.projections import Linear
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.clip.configuration import CLIPVisionConfig
from dovetail_models_vision.clip.layers import CLIPEncoder, TwoTowers, fresh
from dovetail_models_vision.clip.outputs import CLIPVisionModelOutput


class CLIPVisionEmbeddings(nn.Module):
    """Patches with their positions, behind the token that stands for the image."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.class_std = width**-0.5 * config.initializer_factor
        self.class_embedding = nn.Parameter(torch.randn(width))
        std = config.initializer_range * config.initializer_factor
        self.patch_embedding = fresh(
            PatchEmbedding(
                config.image_size, config.patch_size, config.num_channels, width, bias=False
            ),
            std,
        )
        self.position_embedding = fresh(nn.Embedding(self.patch_embedding.count + 1, width), std)

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool) -> Tensor:
        """Tokens (B, 1 + N, D) of images (B, C, H, W)."""
        embed = self.patch_embedding
        patches = embed(pixel_values, interpolate_pos_encoding)
        first = self.class_embedding.expand(len(patches), 1, -1)
        grid = embed.grid(*pixel_values.shape[2:])
        positions = resample_positions(self.position_embedding.weight[None], embed.own_grid, grid)
        return torch.cat((first, patches), 1) + positions


class CLIPVisionTransformer(TwoTowers):
    """The encoder."""

    config_class: ClassVar[Any] = CLIPVisionConfig
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embedding"
    first_norm: ClassVar[str] = "pre_layrnorm"
    """What checkpoints call the norm in front of the layers, here misspelt."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = CLIPVisionEmbeddings(config)
        setattr(self, self.first_norm, nn.LayerNorm(config.hidden_size, config.layer_norm_eps))
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CLIPVisionEmbeddings):
            module.class_embedding.data.normal_(std=module.class_std)

    @backbone
    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool | None = False,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states (B, 1 + N, D) of images (B, C, H, W), and the norm of the first (B, D)."""
        if pixel_values is None:
            raise ValueError("pixel_values is None: give images (batch, channels, height, width).")
        tokens = self.embeddings(pixel_values, bool(interpolate_pos_encoding))
        context = self.encoder_context(tokens, None, recorder=recorder)
        hidden_states = getattr(self, self.first_norm)(tokens)
        hidden_states = self.run_layers(self.encoder.layers, hidden_states, context)
        return BaseModelOutputWithPooling(hidden_states, self.post_layernorm(hidden_states[:, 0]))


class CLIPVisionPreTrainedModel(TwoTowers):
    """Base of the classes that are an image encoder."""

    config_class = CLIPVisionConfig
    base_model_prefix = "clip"
    main_input_name = "pixel_values"
    input_embeddings = "vision_model.embeddings.patch_embedding"
    _no_split_modules: ClassVar[list[str]] = ["CLIPEncoderLayer"]


class CLIPVisionModel(CLIPVisionPreTrainedModel):
    """The image encoder alone."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = CLIPVisionTransformer(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
    ) -> Any:
        """As `CLIPVisionTransformer`."""
        return self.vision_model(
            pixel_values,
            interpolate_pos_encoding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


class CLIPVisionModelWithProjection(CLIPVisionPreTrainedModel):
    """The image encoder with its projection to the width in which texts and images meet."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = CLIPVisionTransformer(config)
        std = config.hidden_size**-0.5 * config.initializer_factor
        projection = Linear(config.hidden_size, config.projection_dim, bias=False)
        self.visual_projection = fresh(projection, std)
        self.post_init()

    @task_head
    def forward(self, pixel_values: Tensor | None = None, **kwargs: Any) -> CLIPVisionModelOutput:
        """Embeddings (B, projection) of images (B, C, H, W)."""
        outputs = self.vision_model(pixel_values, return_dict=True, **kwargs)
        return CLIPVisionModelOutput(
            self.visual_projection(outputs.pooler_output),
            outputs.last_hidden_state,
            outputs.get("hidden_states"),
            outputs.get("attentions"),
        )
