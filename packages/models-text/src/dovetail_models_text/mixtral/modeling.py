"""Mixtral: Mistral whose MLP is one of several experts for each token (arXiv 2401.04088)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import (
    ForCausalLMWithExperts,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.activations import activation
from dovetail.layers.moe import SparseMoE
from dovetail.layers.projections import Linear
from dovetail.outputs import MoeModelOutputWithPast
from dovetail_models_text.llama.modeling import LlamaDecoderLayer, LlamaModel, LlamaPreTrainedModel
from dovetail_models_text.mixtral.configuration import MixtralConfig


class MixtralExpert(nn.Module):
    """A gated MLP, with Mixtral's tensor names."""

    def __init__(self, config: MixtralConfig) -> None:
        super().__init__()
        self.w1 = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.w2 = Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.w3 = Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.act = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.w2(self.act(self.w1(hidden_states)) * self.w3(hidden_states))


class MixtralDecoderLayer(LlamaDecoderLayer):
    """Attention and experts, each normalised before and added to the residual stream."""

    mlp_name = "block_sparse_moe"

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        return SparseMoE(
            config.hidden_size,
            [MixtralExpert(config) for _ in range(config.num_local_experts)],
            config.num_experts_per_tok,
            jitter=config.router_jitter_noise,
        )

    def feed_forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        return self.block_sparse_moe(hidden_states, context.recorder)


class MixtralPreTrainedModel(LlamaPreTrainedModel):
    config_class = MixtralConfig
    _no_split_modules: ClassVar[list[str]] = ["MixtralDecoderLayer"]


class MixtralModel(LlamaModel, MixtralPreTrainedModel):
    """The decoder without a head."""

    layer_class = MixtralDecoderLayer
    output_class = MoeModelOutputWithPast


class MixtralForCausalLM(ForCausalLMWithExperts, MixtralPreTrainedModel):
    """The decoder with next-token logits."""


class MixtralForSequenceClassification(ForSequenceClassification, MixtralPreTrainedModel):
    """The decoder with a label for each text."""


class MixtralForTokenClassification(ForTokenClassification, MixtralPreTrainedModel):
    """The decoder with a label for each token."""
