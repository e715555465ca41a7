"""The blocks that CLIP's text encoder and its image encoder have in common."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel


def fresh(layer: nn.Module, std: float) -> Any:
    """`layer`, whose fresh weights are to have the standard deviation `std`."""
    layer.init_std = std  # type: ignore[assignment]
    return layer


class CLIPAttention(nn.Module):
    """Attention within a text or an image."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx, self.dropout = layer_idx, config.attention_dropout
        width = config.hidden_size
        self.head_dim = width // config.num_attention_heads
        std = width**-0.5 * getattr(config, "initializer_factor", 1.0)
        inner = std * (2 * max(config.num_hidden_layers, 1)) ** -0.5
        self.k_proj, self.v_proj, self.q_proj = (
            fresh(Linear(width, width), inner) for _ in range(3)
        )
        self.out_proj = fresh(Linear(width, width), std)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = (
            split_heads(project(hidden_states), self.head_dim)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout * self.training
        return self.out_proj(context.attend(query, key, value, self.layer_idx, dropout=dropout))


class CLIPMLP(nn.Module):
    """Two dense layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, factor = config.hidden_size, getattr(config, "initializer_factor", 1.0)
        layers = max(config.num_hidden_layers, 1)
        self.fc1 = fresh(Linear(width, config.intermediate_size), (2 * width) ** -0.5 * factor)
        self.fc2 = fresh(
            Linear(config.intermediate_size, width), (2 * width * layers) ** -0.5 * factor
        )
        self.activation = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class CLIPEncoderLayer(nn.Module):
    """Attention and MLP, each behind a norm."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = CLIPAttention(config, layer_idx)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = CLIPMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states), context)
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class CLIPEncoder(nn.Module):
    """Holds the layers under the checkpoint's name."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            CLIPEncoderLayer(config, index) for index in range(config.num_hidden_layers)
        )


class CLIPTextEmbeddings(nn.Module):
    """Tokens with their positions."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        std = 0.02 * getattr(config, "initializer_factor", 1.0)
        self.token_embedding = fresh(nn.Embedding(config.vocab_size, config.hidden_size), std)
        self.position_embedding = fresh(
            nn.Embedding(config.max_position_embeddings, config.hidden_size), std
        )

    def forward(self, tokens: Tensor, position_ids: Tensor) -> Tensor:
        return tokens + self.position_embedding(position_ids)


def check_length(input_ids: Tensor | None, longest: int) -> None:
    """Refuse what is no batch of texts of at most `longest` tokens with a ValueError."""
    if input_ids is None:
        raise ValueError("input_ids is None: give the token ids (batch, length) of the texts.")
    if input_ids.dim() != 2 or input_ids.shape[1] > longest:
        raise ValueError(
            f"input_ids of shape {tuple(input_ids.shape)} must be (batch, length) with at most "
            f"max_position_embeddings={longest} tokens: truncate the texts."
        )


class TwoTowers(PreTrainedModel):
    """Base of CLIP, its relatives and their halves: fresh weights by the width of each layer."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = getattr(module, "init_std", None)
        if std is not None:
            module.weight.data.normal_(std=std)  # type: ignore[operator]

    def recorded_by_default(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments `given` to a half, with what this model's config says is to be recorded."""
        names = ("output_attentions", "output_hidden_states")
        config = self.config
        return given | {
            name: getattr(config, name) if given.get(name) is None else given[name]
            for name in names
        }


class TextAlone:
    """A model that is nothing but the text encoder `text_model`."""

    text_model: nn.Module

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Hidden states (B, T, D) of texts (B, T), and one state (B, D) for each text."""
        return self.text_model(
            input_ids,
            attention_mask,
            position_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


def contrastive_loss(similarity: Tensor) -> Tensor:
    """How far the rows of `similarity` (B, B) are from preferring their own column, and columns
    their own row (InfoNCE, arXiv 1807.03748)."""
    own = torch.arange(len(similarity), device=similarity.device)
    both = (nn.functional.cross_entropy(each, own) for each in (similarity, similarity.t()))
    return sum(both) / 2  # type: ignore[return-value]
