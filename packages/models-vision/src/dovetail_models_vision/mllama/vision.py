"""Llama 3.2 Vision's tower: a picture as tiles, which see each other, then gated global layers.

B batch, M pictures, N tiles of each, P patches of a tile (the token that stands for it included), D
width, L = N * padded P tokens of a picture.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.patches import PatchEmbedding
from dovetail.layers.projections import Linear, together
from dovetail.masks import Mask
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutput
from dovetail.recording import Recorder, backbone
from dovetail.resizing import resize_embedding
from dovetail_models_vision.mllama.configuration import MllamaConfig, MllamaVisionConfig

EXTRA_TOKENS = 8
"""Embeddings beyond the vocabulary: the first stands for a picture."""
ALIGNED = 8
"""Patches of a tile are padded to a multiple, as in training."""


class MllamaPreTrainedModel(PreTrainedModel):
    """Base of the whole and of its parts."""

    config_class: ClassVar[Any] = MllamaConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = [
        "MllamaVisionEncoderLayer",
        "MllamaCrossAttentionDecoderLayer",
        "LlamaDecoderLayer",
    ]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.get_text_config().initializer_range
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            if name in ("class_embedding", "embedding"):
                parameter.data.normal_(std=std)
            elif name in ("gate_attn", "gate_ffn"):
                parameter.data.fill_(math.pi / 4)
            elif "gate" in name:
                parameter.data.zero_()

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """As everywhere; the embeddings keep their rows beyond the vocabulary."""
        embeddings: Any = self.get_input_embeddings()
        text = self.config.get_text_config()
        size = text.vocab_size if new_num_tokens is None else new_num_tokens
        self.set_input_embeddings(
            resize_embedding(embeddings, text.vocab_size, self._init_weights, False)
        )
        super().resize_token_embeddings(size, pad_to_multiple_of, mean_resizing)
        rows = text.vocab_size + EXTRA_TOKENS
        self.set_input_embeddings(
            resize_embedding(embeddings, rows, self._init_weights, mean_resizing)
        )
        return self.get_input_embeddings()


class MllamaPrecomputedAspectRatioEmbedding(nn.Module):
    """What is added to all patches of a tile, by the aspect ratio of its picture; gated."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.tiles, self.width = config.max_num_tiles, config.hidden_size
        count = config.max_aspect_ratio_id + 1
        self.embedding = nn.Embedding(count, self.tiles * self.width)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_states: Tensor, aspect_ratio_ids: Tensor) -> Tensor:
        """Tiles (B * M, N, P, D), those of aspect ratios (B * M,)."""
        found = self.embedding(aspect_ratio_ids).view(-1, self.tiles, 1, self.width)
        return hidden_states + found * self.gate.tanh()


class MllamaPrecomputedPositionEmbedding(nn.Module):
    """What is added to each patch: by its place in the tile, and by its place in the picture."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.shape = (config.max_num_tiles, config.num_patches, config.hidden_size)
        self.gate = nn.Parameter(torch.zeros(1))
        self.embedding = nn.Parameter(torch.zeros(self.shape[1:]))
        count = config.max_aspect_ratio_id + 1
        self.tile_embedding = nn.Embedding(count, math.prod(self.shape))

    def forward(self, hidden_states: Tensor, aspect_ratio_ids: Tensor) -> Tensor:
        """Tiles (B * M, N, P, D), those of aspect ratios (B * M,)."""
        gate = self.gate.tanh()
        by_picture = self.tile_embedding(aspect_ratio_ids).view(-1, *self.shape)
        return hidden_states + (1 - gate) * self.embedding + gate * by_picture


class MllamaVisionAttention(nn.Module):
    """Attention without biases."""

    side_by_side = ("q_proj", "k_proj", "v_proj")

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.layer_idx, self.head_dim = layer_idx, width // config.attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        projected = together(hidden_states, self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(states, self.head_dim) for states in projected)
        return self.o_proj(context.attend(query, key, value, self.layer_idx))


class MllamaVisionMLP(nn.Module):
    """Two layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.activation_fn = activation(config.hidden_act)
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.activation_fn(self.fc1(hidden_states)))


class MllamaVisionEncoderLayer(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = MllamaVisionAttention(config, layer_idx)
        self.mlp = MllamaVisionMLP(config)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, config.norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.self_attn(self.input_layernorm(hidden_states), context)
        hidden_states = hidden_states + self.gated(attended, "gate_attn")
        changed = self.mlp(self.post_attention_layernorm(hidden_states))
        return hidden_states + self.gated(changed, "gate_ffn")

    def gated(self, states: Tensor, name: str) -> Tensor:
        """What the gate called `name` lets through: here all."""
        return states


class MllamaGatedVisionEncoderLayer(MllamaVisionEncoderLayer):
    """A layer whose two contributions are gated."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.gate_attn = nn.Parameter(torch.full((1,), math.pi / 4))
        self.gate_ffn = nn.Parameter(torch.full((1,), math.pi / 4))

    def gated(self, states: Tensor, name: str) -> Tensor:
        return getattr(self, name).tanh() * states


class MllamaVisionEncoder(nn.Module):
    """Holds layers under the checkpoint's name."""

    def __init__(self, config: Any, kind: type[MllamaVisionEncoderLayer], count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(kind(config, index) for index in range(count))


class MllamaVisionModel(MllamaPreTrainedModel):
    """The tower."""

    config_class: ClassVar[Any] = MllamaVisionConfig
    base_model_prefix = "vision_model"
    main_input_name = "pixel_values"
    input_embeddings = "patch_embedding"

    def __init__(self, config: MllamaVisionConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.patch_embedding = PatchEmbedding(
            config.image_size, config.patch_size, config.num_channels, width, bias=False
        )
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.gated_positional_embedding = MllamaPrecomputedPositionEmbedding(config)
        self.pre_tile_positional_embedding = MllamaPrecomputedAspectRatioEmbedding(config)
        self.post_tile_positional_embedding = MllamaPrecomputedAspectRatioEmbedding(config)
        self.layernorm_pre = nn.LayerNorm(width)
        self.layernorm_post = nn.LayerNorm(width)
        layers, more = config.num_hidden_layers, config.num_global_layers
        self.transformer = MllamaVisionEncoder(config, MllamaVisionEncoderLayer, layers)
        self.global_transformer = MllamaVisionEncoder(config, MllamaGatedVisionEncoderLayer, more)
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        aspect_ratio_ids: Tensor,
        aspect_ratio_mask: Tensor,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """Features (B, M, N, P, D * (1 + states taken)) of tiles (B, M, N, C, H, W).

        `aspect_ratio_ids` (B, M) count the supported aspect ratios from 1, 0 is no picture;
        `aspect_ratio_mask` (B, M, N) is 1 where there is a tile.

        Raises:
            ValueError: shapes that do not fit each other or the config.
        """
        check_tiles(pixel_values, aspect_ratio_ids, aspect_ratio_mask, self.config)
        shape, ids = pixel_values.shape[:3], aspect_ratio_ids.flatten()
        tiles = self.embed_tiles(pixel_values.flatten(0, 2), ids)  # (B * M, N, P, D)
        patches = tiles.shape[2]
        tiles = F.pad(tiles, (0, 0, 0, -patches % ALIGNED))
        mask = tile_mask(aspect_ratio_mask.flatten(0, 1), patches, tiles)
        hidden_states = tiles.flatten(1, 2)  # (B * M, L, D)
        context = self.encoder_context(hidden_states, None, recorder=recorder)
        context.mask = mask
        hidden_states, taken = self.run_local(hidden_states, context)
        if recorder is not None:
            recorder.add_hidden_state(hidden_states)
        tiles = self.layernorm_post(hidden_states).view_as(tiles)
        tiles = self.post_tile_positional_embedding(tiles, ids)
        layers = self.global_transformer.layers
        last = self.run_layers(layers, tiles.flatten(1, 2), context, record_last=True)
        features = torch.cat((last, torch.stack(taken, -1).flatten(-2)), -1)
        features = features.unflatten(1, (shape[2], -1))[:, :, :patches]
        return BaseModelOutput(features.unflatten(0, shape[:2]))

    def embed_tiles(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """Patches (B * M, N, P, D) of tiles (B * M * N, C, H, W), with all their positions."""
        count = self.config.max_num_tiles
        tiles = self.patch_embedding(pixels).unflatten(0, (-1, count))
        tiles = self.pre_tile_positional_embedding(tiles, ids)
        first = self.class_embedding.expand(*tiles.shape[:2], 1, -1)
        tiles = torch.cat((first, tiles), 2)
        return self.layernorm_pre(self.gated_positional_embedding(tiles, ids))

    def run_local(self, hidden_states: Tensor, context: Context) -> tuple[Tensor, list[Tensor]]:
        """What leaves the layers before the global ones, and what entered those in which features
        are taken."""
        states = []
        for layer in self.transformer.layers:
            states.append(hidden_states)
            hidden_states = self.run_layers([layer], hidden_states, context)
        states.append(hidden_states)
        return hidden_states, [states[index] for index in self.config.intermediate_layers_indices]


def tile_mask(tiles: Tensor, patches: int, states: Tensor) -> Mask:
    """The mask of pictures of `tiles` (B * M, N), `patches` of each of which are none of padding.

    Padding does not see padding; all else sees all, since the model was trained so.
    """
    nothing = 1 - tiles[..., None].expand(*states.shape[:3]).to(states.dtype)
    nothing[:, :, patches:] = 1
    nothing = nothing.flatten(1)[..., None]  # (B * M, L, 1)
    hidden = nothing @ nothing.transpose(1, 2) * torch.finfo(states.dtype).min
    return Mask(*hidden.shape[1:], custom=hidden[:, None])


def check_tiles(pixels: Tensor, ids: Tensor, mask: Tensor, config: Any) -> None:
    """Refuse tiles, aspect ratios and masks that do not fit each other with a `ValueError`."""
    count = config.max_num_tiles
    if pixels.dim() != 6 or pixels.shape[2] != count:
        raise ValueError(
            f"pixel_values of shape {tuple(pixels.shape)} must be (batch, pictures, {count} tiles, "
            "channels, height, width)."
        )
    for name, given, wanted in (
        ("aspect_ratio_ids", ids, pixels.shape[:2]),
        ("aspect_ratio_mask", mask, pixels.shape[:3]),
    ):
        if given.shape != wanted:
            raise ValueError(
                f"{name} of shape {tuple(given.shape)} must be {tuple(wanted)}, as pixel_values "
                "are; give what the image processor made of the same pictures."
            )
