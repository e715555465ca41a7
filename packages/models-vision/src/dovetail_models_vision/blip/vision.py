"""BLIP's image encoder: ViT with the three projections of its attention in one.

B batch, C channels, H height, W width, N patches, T tokens, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.patches import PatchEmbedding, resample_positions
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.blip.configuration import BlipVisionConfig


class BlipVisionEmbeddings(nn.Module):
    """Patches with their positions, behind the token that stands for the image."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.class_embedding = nn.Parameter(torch.randn(1, 1, width))
        self.patch_embedding = PatchEmbedding(config.image_size, config.patch_size, 3, width)
        self.position_embedding = nn.Parameter(
            torch.randn(1, self.patch_embedding.count + 1, width)
        )

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool) -> Tensor:
        """Tokens (B, 1 + N, D) of images (B, C, H, W)."""
        embed = self.patch_embedding
        patches = embed(pixel_values, interpolate_pos_encoding)
        first = self.class_embedding.expand(len(patches), -1, -1)
        grid = embed.grid(*pixel_values.shape[2:])
        positions = resample_positions(self.position_embedding, embed.own_grid, grid)
        return torch.cat((first, patches), 1) + positions


class BlipVisionAttention(nn.Module):
    """Every token attends to every token."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx, self.dropout = layer_idx, config.attention_dropout
        width = config.hidden_size
        self.head_dim = width // config.num_attention_heads
        self.qkv = Linear(width, 3 * width, bias=config.qkv_bias)
        self.projection = Linear(width, width)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused = self.qkv(hidden_states).unflatten(-1, (3, -1, self.head_dim))
        query, key, value = fused.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, T, E)
        dropout = self.dropout * self.training
        return self.projection(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class BlipMLP(nn.Module):
    """Two dense layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)
        self.activation = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class BlipVisionLayer(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = BlipVisionAttention(config, layer_idx)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = BlipMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states), context)
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class BlipVisionEncoder(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            BlipVisionLayer(config, index) for index in range(config.num_hidden_layers)
        )


class BlipVisionModel(PreTrainedModel):
    """The image encoder; its relatives name another config."""

    config_class: ClassVar[Any] = BlipVisionConfig
    base_model_prefix = "vision_model"
    main_input_name = "pixel_values"
    input_embeddings = "embeddings"
    _no_split_modules: ClassVar[list[str]] = ["BlipVisionEmbeddings", "BlipVisionLayer"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = BlipVisionEmbeddings(config)
        self.encoder = BlipVisionEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BlipVisionEmbeddings):
            std = self.config.initializer_range
            for parameter in (module.class_embedding, module.position_embedding):
                nn.init.trunc_normal_(parameter, mean=0.0, std=std)

    @backbone
    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states (B, 1 + N, D) of images (B, C, H, W), and the norm of the first (B, D).

        `interpolate_pos_encoding` allows images of another size than ``config.image_size``.
        """
        if pixel_values is None:
            raise ValueError("pixel_values is None: give images (batch, channels, height, width).")
        tokens = self.embeddings(pixel_values, interpolate_pos_encoding)
        context = self.encoder_context(tokens, None, recorder=recorder)
        states = self.run_layers(self.encoder.layers, tokens, context, record_last=True)
        states = self.post_layernorm(states)
        # The first token is normed once more: so the checkpoints were trained.
        return BaseModelOutputWithPooling(states, self.post_layernorm(states[:, 0]))
