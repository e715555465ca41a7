"""Gemma 2: Gemma with local and global attention in turn, soft-capped scores and logits, and norms
after each block as well as before (arXiv 2408.00118)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail.layers.attention import soft_cap
from dovetail_models_text.gemma.modeling import GemmaDecoderLayer, GemmaModel
from dovetail_models_text.gemma2.configuration import Gemma2Config
from dovetail_models_text.llama.modeling import LlamaAttention, LlamaPreTrainedModel


class Gemma2Attention(LlamaAttention):
    """Attention with a scale of its own and bounded scores."""

    def __init__(self, config: Gemma2Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.scale = config.query_pre_attn_scalar**-0.5
        self.softcap = config.attn_logit_softcapping


class Gemma2DecoderLayer(GemmaDecoderLayer):
    """Attention and MLP, each normalised before and after and added to the residual stream."""

    attention_class = Gemma2Attention

    @staticmethod
    def norms(config: Any) -> tuple[str, ...]:
        around = "pre_feedforward_layernorm", "post_feedforward_layernorm"
        return *GemmaDecoderLayer.norms(config), *around

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.self_attn(self.input_layernorm(hidden_states), context)
        hidden_states = hidden_states + self.post_attention_layernorm(attended)
        output = self.mlp(self.pre_feedforward_layernorm(hidden_states))
        return hidden_states + self.post_feedforward_layernorm(output)


class Gemma2PreTrainedModel(LlamaPreTrainedModel):
    config_class = Gemma2Config
    _no_split_modules: ClassVar[list[str]] = ["Gemma2DecoderLayer"]


class Gemma2Model(Gemma2PreTrainedModel, GemmaModel):
    """The decoder without a head."""

    layer_class = Gemma2DecoderLayer


class Gemma2ForCausalLM(ForCausalLM, Gemma2PreTrainedModel):
    """The decoder with next-token logits."""

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D), bounded."""
        return soft_cap(super().logits(hidden_states), self.config.final_logit_softcapping)


class Gemma2ForSequenceClassification(ForSequenceClassification, Gemma2PreTrainedModel):
    """The decoder with a label for each text."""


class Gemma2ForTokenClassification(ForTokenClassification, Gemma2PreTrainedModel):
    """The decoder with a label for each token."""
