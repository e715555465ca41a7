"""Qwen 2 with experts: some for each token, and one that all tokens share through a gate of its own
(arXiv 2407.10671)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import (
    ForCausalLMWithExperts,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.moe import SparseMoE
from dovetail.layers.projections import Linear
from dovetail.outputs import MoeModelOutputWithPast
from dovetail.recording import Recorder
from dovetail_models_text.llama.modeling import LlamaDecoderLayer, LlamaModel, LlamaPreTrainedModel
from dovetail_models_text.qwen2_moe.configuration import Qwen2MoeConfig


class Qwen2MoeSparseMoeBlock(SparseMoE):
    """Chosen experts, and a shared one weighed by a sigmoid."""

    def __init__(self, config: Qwen2MoeConfig) -> None:
        width, act = config.hidden_size, config.hidden_act
        super().__init__(
            width,
            [GatedMLP(width, config.moe_intermediate_size, act) for _ in range(config.num_experts)],
            config.num_experts_per_tok,
            normalise=config.norm_topk_prob,
        )
        self.shared_expert = GatedMLP(width, config.shared_expert_intermediate_size, act)
        self.shared_expert_gate = Linear(width, 1, bias=False)

    def forward(self, hidden_states: Tensor, recorder: Recorder | None = None) -> Tensor:
        shared = self.shared_expert_gate(hidden_states).sigmoid() * self.shared_expert(
            hidden_states
        )
        return super().forward(hidden_states, recorder) + shared


class Qwen2MoeDecoderLayer(LlamaDecoderLayer):
    """Llama's layer, with experts where the config says so."""

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        sparse = config.is_sparse(layer_idx)
        make = LlamaDecoderLayer.make_mlp
        return Qwen2MoeSparseMoeBlock(config) if sparse else make(config, layer_idx)

    def feed_forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        if isinstance(self.mlp, Qwen2MoeSparseMoeBlock):
            return self.mlp(hidden_states, context.recorder)
        return self.mlp(hidden_states)


class Qwen2MoePreTrainedModel(LlamaPreTrainedModel):
    config_class = Qwen2MoeConfig
    _no_split_modules: ClassVar[list[str]] = ["Qwen2MoeDecoderLayer"]


class Qwen2MoeModel(LlamaModel, Qwen2MoePreTrainedModel):
    """The decoder without a head."""

    layer_class = Qwen2MoeDecoderLayer
    output_class = MoeModelOutputWithPast


class Qwen2MoeForCausalLM(ForCausalLMWithExperts, Qwen2MoePreTrainedModel):
    """The decoder with next-token logits."""


class Qwen2MoeForSequenceClassification(ForSequenceClassification, Qwen2MoePreTrainedModel):
    """The decoder with a label for each text."""


class Qwen2MoeForTokenClassification(ForTokenClassification, Qwen2MoePreTrainedModel):
    """The decoder with a label for each token."""
