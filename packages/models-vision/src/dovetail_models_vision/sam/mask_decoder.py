"""SAM's mask decoder: tokens and image attend to each other, then each mask token is held against
every pixel.

B images times their prompts, T tokens, S patches, M masks, D width, h and w patches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.attention import attention, split_heads
from dovetail.layers.projections import Linear
from dovetail_models_vision.sam.configuration import SamMaskDecoderConfig
from dovetail_models_vision.sam.vision import SamLayerNorm, SamMLP

BLOCK_DOWNSAMPLE = 2
"""Of attention within blocks, in every checkpoint; the config's rate is that of the last look."""


class SamAttention(nn.Module):
    """Attention in a space that is `downsample` times as narrow."""

    def __init__(self, config: SamMaskDecoderConfig, downsample: int = 1) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.hidden_size // downsample
        self.head_dim = inner // config.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj = (Linear(width, inner) for _ in range(3))
        self.out_proj = Linear(inner, width)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        context: Context,
        similarity: Tensor | None = None,
    ) -> Tensor:
        """`query` (B, T, D) reads `value` where `key` (B, S, D) fits; `similarity` (broadcast to
        (B, H, T, S)) moves the weights (arXiv 2305.03048)."""
        query, key, value = (
            split_heads(project(states), self.head_dim)
            for project, states in (
                (self.q_proj, query),
                (self.k_proj, key),
                (self.v_proj, value),
            )
        )
        if similarity is None:
            attended = attention(query, key, value, implementation=context.implementation)
        else:
            weights = (query @ key.mT * self.head_dim**-0.5).softmax(-1) + similarity
            attended = (weights.softmax(-1) @ value).transpose(1, 2).flatten(2)
        return self.out_proj(attended)


class SamTwoWayAttentionBlock(nn.Module):
    """Tokens attend to themselves and to the image, the image to the tokens. The `first` block
    takes the tokens as they are, without residual."""

    def __init__(self, config: SamMaskDecoderConfig, first: bool) -> None:
        super().__init__()
        width = config.hidden_size
        self.first = first
        self.self_attn = SamAttention(config)
        self.cross_attn_token_to_image = SamAttention(config, BLOCK_DOWNSAMPLE)
        self.cross_attn_image_to_token = SamAttention(config, BLOCK_DOWNSAMPLE)
        self.mlp = SamMLP(width, config.mlp_dim, config.hidden_act)
        self.layer_norm1, self.layer_norm2, self.layer_norm3, self.layer_norm4 = (
            nn.LayerNorm(width, config.layer_norm_eps) for _ in range(4)
        )

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        token_places: Tensor,
        image_places: Tensor,
        context: Context,
        similarity: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """`tokens` (B, T, D) and `image` (B, S, D) with what they learned."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens, context)
        else:
            placed = tokens + token_places
            tokens = tokens + self.self_attn(placed, placed, tokens, context)
        tokens = self.layer_norm1(tokens)
        seen = self.cross_attn_token_to_image(
            tokens + token_places, image + image_places, image, context, similarity
        )
        tokens = self.layer_norm2(tokens + seen)
        tokens = self.layer_norm3(tokens + self.mlp(tokens))
        told = self.cross_attn_image_to_token(
            image + image_places, tokens + token_places, tokens, context
        )
        if context.recorder is not None and context.recorder.attentions:
            context.recorder.add("mask_decoder_attentions", told[:, None])
        return tokens, self.layer_norm4(image + told)


class SamTwoWayTransformer(nn.Module):
    """The blocks, and a last look of the tokens at the image."""

    def __init__(self, config: SamMaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            SamTwoWayAttentionBlock(config, first=index == 0)
            for index in range(config.num_hidden_layers)
        )
        self.final_attn_token_to_image = SamAttention(config, config.attention_downsample_rate)
        self.layer_norm_final_attn = nn.LayerNorm(config.hidden_size)

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        image_places: Tensor,
        context: Context,
        similarity: Tensor | None,
        target: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, D) and image (B, S, D); `target` is added to the tokens of each block, and
        to their places."""
        places = tokens if target is None else tokens + target
        for layer in self.layers:
            tokens = tokens if target is None else tokens + target
            tokens, image = layer(tokens, image, places, image_places, context, similarity)
        seen = self.final_attn_token_to_image(tokens + places, image + image_places, image, context)
        return self.layer_norm_final_attn(tokens + seen), image


class SamFeedForward(nn.Module):
    """`depth` linear layers with ReLU between."""

    def __init__(self, width: int, inner: int, output: int, depth: int) -> None:
        super().__init__()
        self.proj_in = Linear(width, inner)
        self.layers = nn.ModuleList(Linear(inner, inner) for _ in range(depth - 2))
        self.proj_out = Linear(inner, output)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = F.relu(self.proj_in(hidden_states))
        for layer in self.layers:
            hidden_states = F.relu(layer(hidden_states))
        return self.proj_out(hidden_states)


class SamMaskDecoder(nn.Module):
    """Masks, and how well each is expected to fit (intersection over union)."""

    def __init__(self, config: SamMaskDecoderConfig) -> None:
        super().__init__()
        width, masks = config.hidden_size, config.num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.transformer = SamTwoWayTransformer(config)
        self.upscale_conv1 = nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2)
        self.upscale_conv2 = nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2)
        self.upscale_layer_norm = SamLayerNorm(width // 4, 1e-6)
        self.output_hypernetworks_mlps = nn.ModuleList(
            SamFeedForward(width, width, width // 8, 3) for _ in range(masks)
        )
        self.iou_prediction_head = SamFeedForward(
            width, config.iou_head_hidden_dim, masks, config.iou_head_depth
        )

    def forward(
        self,
        image: Tensor,
        image_places: Tensor,
        prompts: Tensor,
        context: Context,
        similarity: Tensor | None = None,
        target: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Masks (B, M, 4h, 4w) as logits, the first of them that which stands for all, and their
        scores (B, M).

        `image` (B, D, h, w) holds the mask prompt, `prompts` (B, N, D) the other prompts.
        """
        height, width = image.shape[-2:]
        own = torch.cat((self.iou_token.weight, self.mask_tokens.weight)).expand(len(image), -1, -1)
        tokens, states = self.transformer(
            torch.cat((own, prompts.to(own.dtype)), 1),
            image.flatten(2).mT,
            image_places.flatten(2).mT,
            context,
            similarity,
            target,
        )
        pixels = self.upscale(states.mT.unflatten(-1, (height, width)))
        mask_tokens = tokens[:, 1 : own.shape[1]].unbind(1)
        heads = zip(self.output_hypernetworks_mlps, mask_tokens, strict=True)
        filters = torch.stack([head(token) for head, token in heads], 1)  # (B, M, D / 8)
        masks = (filters @ pixels.flatten(2)).unflatten(-1, pixels.shape[-2:])
        return masks, self.iou_prediction_head(tokens[:, 0])

    def upscale(self, image: Tensor) -> Tensor:
        """Four times the height and width, an eighth of the channels."""
        image = F.gelu(self.upscale_layer_norm(self.upscale_conv1(image)))
        return F.gelu(self.upscale_conv2(image))
