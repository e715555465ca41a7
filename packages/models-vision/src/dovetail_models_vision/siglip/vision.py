"""SigLIP's image encoder: ViT without a first token; a learned query gathers what stands for the
image.

B batch, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.layers.attention import attention, split_heads
from dovetail.layers.patches import PatchEmbedding, resample_positions
from dovetail.layers.projections import Linear, linear
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.clip.layers import CLIPMLP, CLIPEncoder
from dovetail_models_vision.siglip.configuration import SiglipVisionConfig
from dovetail_models_vision.siglip.layers import SiglipTowers


class SiglipVisionEmbeddings(nn.Module):
    """Patches with their positions."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.patch_embedding = PatchEmbedding(
            config.image_size, config.patch_size, config.num_channels, width
        )
        self.position_embedding = nn.Embedding(self.patch_embedding.count, width)

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool) -> Tensor:
        """Tokens (B, N, D) of images (B, C, H, W)."""
        embed = self.patch_embedding
        patches = embed(pixel_values, interpolate_pos_encoding)
        grid = embed.grid(*pixel_values.shape[2:])
        positions = resample_positions(self.position_embedding.weight[None], embed.own_grid, grid)
        return patches + positions


class FusedAttention(nn.Module):
    """Attention whose queries, keys and values are projected by one matrix, as torch's own module
    stores it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, queries: Tensor, hidden_states: Tensor) -> Tensor:
        """What `queries` (B, Q, D) find in `hidden_states` (B, N, D)."""
        width = queries.shape[-1]
        weights, biases = self.in_proj_weight, self.in_proj_bias
        keys_values = linear(hidden_states, weights[width:], biases[width:])
        query, key, value = (
            split_heads(states, self.head_dim)
            for states in (
                linear(queries, weights[:width], biases[:width]),
                *keys_values.chunk(2, -1),
            )
        )
        return self.out_proj(attention(query, key, value))


class SiglipMultiheadAttentionPoolingHead(nn.Module):
    """One learned query over all patches, and an MLP."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.randn(1, 1, config.hidden_size))
        self.attention = FusedAttention(config.hidden_size, config.num_attention_heads)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = CLIPMLP(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """What stands for each image, (B, D), of patches (B, N, D)."""
        probe = self.probe.expand(len(hidden_states), -1, -1)
        pooled = self.attention(probe, hidden_states)
        return (pooled + self.mlp(self.layernorm(pooled)))[:, 0]


class SiglipVisionTransformer(SiglipTowers):
    """The encoder."""

    config_class = SiglipVisionConfig
    main_input_name = "pixel_values"
    input_embeddings = "embeddings.patch_embedding"

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__(config)
        self.embeddings = SiglipVisionEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.use_head = getattr(config, "vision_use_head", True)
        if self.use_head:
            self.head = SiglipMultiheadAttentionPoolingHead(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, FusedAttention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            module.in_proj_bias.data.zero_()
        elif isinstance(module, SiglipMultiheadAttentionPoolingHead):
            nn.init.xavier_uniform_(module.probe)

    @backbone
    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool | None = False,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Hidden states (B, N, D) of images (B, C, H, W), and what is gathered of them (B, D)."""
        if pixel_values is None:
            raise ValueError("pixel_values is None: give images (batch, channels, height, width).")
        tokens = self.embeddings(pixel_values, bool(interpolate_pos_encoding))
        context = self.encoder_context(tokens, None, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layers, tokens, context, record_last=True)
        hidden_states = self.post_layernorm(hidden_states)
        pooled = self.head(hidden_states) if self.use_head else None
        return BaseModelOutputWithPooling(hidden_states, pooled)


class SiglipVisionModel(SiglipTowers):
    """The image encoder alone."""

    config_class = SiglipVisionConfig
    base_model_prefix = "siglip"
    main_input_name = "pixel_values"
    input_embeddings = "vision_model.embeddings.patch_embedding"
    _no_split_modules: ClassVar[list[str]] = [
        "CLIPEncoderLayer",
        "SiglipVisionEmbeddings",
        "SiglipMultiheadAttentionPoolingHead",
    ]

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = SiglipVisionTransformer(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Any:
        """As `SiglipVisionTransformer`."""
        return self.vision_model(
            pixel_values,
            interpolate_pos_encoding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
