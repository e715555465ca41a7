"""StarCoder 2: Llama with biases, layer norms, a plain MLP, dropout and a sliding window (arXiv
2402.19173)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail_models_text.llama.modeling import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaModel,
    LlamaPreTrainedModel,
)
from dovetail_models_text.starcoder2.configuration import Starcoder2Config


class Starcoder2Attention(LlamaAttention):
    """Attention with dropout of its output."""

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        output = super().forward(hidden_states, context)
        return F.dropout(output, self.config.residual_dropout, self.training)


class Starcoder2MLP(nn.Module):
    """Two projections around an activation."""

    def __init__(self, config: Starcoder2Config) -> None:
        super().__init__()
        self.c_fc = Linear(config.hidden_size, config.intermediate_size, config.use_bias)
        self.c_proj = Linear(config.intermediate_size, config.hidden_size, config.use_bias)
        self.act = activation(config.hidden_act)
        self.dropout = nn.Dropout(config.residual_dropout)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(hidden_states))))


class Starcoder2DecoderLayer(LlamaDecoderLayer):
    """Llama's layer made of StarCoder's parts."""

    attention_class = Starcoder2Attention

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        return Starcoder2MLP(config)

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        return nn.LayerNorm(config.hidden_size, config.norm_epsilon)


class Starcoder2PreTrainedModel(LlamaPreTrainedModel):
    config_class = Starcoder2Config
    _no_split_modules: ClassVar[list[str]] = ["Starcoder2DecoderLayer"]


class Starcoder2Model(LlamaModel, Starcoder2PreTrainedModel):
    """The decoder without a head."""

    layer_class = Starcoder2DecoderLayer

    def embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """Embeddings (B, T, D), with dropout in training."""
        embeddings = super().embed(input_ids, inputs_embeds)
        return F.dropout(embeddings, self.config.embedding_dropout, self.training)


class Starcoder2ForCausalLM(ForCausalLM, Starcoder2PreTrainedModel):
    """The decoder with next-token logits."""


class Starcoder2ForSequenceClassification(ForSequenceClassification, Starcoder2PreTrainedModel):
    """The decoder with a label for each text."""


class Starcoder2ForTokenClassification(ForTokenClassification, Starcoder2PreTrainedModel):
    """The decoder with a label for each token."""
