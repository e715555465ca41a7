"""GPT-Neo: GPT-2 with plain projections, scores that are not scaled, and local attention in every
other layer (Black et al., 2021)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import (
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear, together
from dovetail.modeling import PreTrainedModel
from dovetail_models_text.gpt2.modeling import GPT2Model
from dovetail_models_text.gpt_neo.configuration import GPTNeoConfig


class GPTNeoSelfAttention(nn.Module):
    """Unscaled attention; the context holds each layer's window."""

    side_by_side = ("q_proj", "k_proj", "v_proj")

    def __init__(self, config: GPTNeoConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.hidden_size // config.num_heads
        width = config.hidden_size
        self.k_proj, self.v_proj, self.q_proj = (Linear(width, width, bias=False) for _ in range(3))
        self.out_proj = Linear(width, width)
        self.resid_dropout = nn.Dropout(config.resid_dropout)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        projected = together(hidden_states, self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(states, self.head_dim) for states in projected)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attention_dropout * self.training
        output = context.attend(query, key, value, self.layer_idx, scale=1.0, dropout=dropout)
        return self.resid_dropout(self.out_proj(output))


class GPTNeoAttention(nn.Module):
    """Holds the attention under the checkpoint's name."""

    def __init__(self, config: GPTNeoConfig, layer_idx: int) -> None:
        super().__init__()
        self.attention = GPTNeoSelfAttention(config, layer_idx)


class GPTNeoMLP(nn.Module):
    """Two projections around an activation."""

    def __init__(self, config: GPTNeoConfig) -> None:
        super().__init__()
        size = config.intermediate_size or 4 * config.hidden_size
        self.c_fc = Linear(config.hidden_size, size)
        self.c_proj = Linear(size, config.hidden_size)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.resid_dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(hidden_states))))


class GPTNeoBlock(nn.Module):
    """Attention and MLP, each normalised before and added."""

    def __init__(self, config: GPTNeoConfig, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.attn = GPTNeoAttention(config, layer_idx)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.mlp = GPTNeoMLP(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.attn.attention(self.ln_1(hidden_states), context)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.ln_2(hidden_states))


class GPTNeoPreTrainedModel(PreTrainedModel):
    config_class = GPTNeoConfig
    base_model_prefix = "transformer"
    input_embeddings = "wte"
    _no_split_modules: ClassVar[list[str]] = ["GPTNeoBlock"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"attn\.attention\.(masked_)?bias$"]


class GPTNeoModel(GPTNeoPreTrainedModel, GPT2Model):
    """The decoder without a head."""

    block_class = GPTNeoBlock
    _prune_heads = PreTrainedModel._prune_heads


class GPTNeoForCausalLM(ForCausalLM, GPTNeoPreTrainedModel):
    """The decoder with next-token logits."""


class GPTNeoForSequenceClassification(ForSequenceClassification, GPTNeoPreTrainedModel):
    """The decoder with a label for each text."""


class GPTNeoForTokenClassification(ForTokenClassification, GPTNeoPreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"


class GPTNeoForQuestionAnswering(ForQuestionAnswering, GPTNeoPreTrainedModel):
    """The decoder with a span for each answer."""
