"""Gemma: Llama with scaled embeddings, norms whose weights count from 1, and a GELU gate (arXiv
2403.08295)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail.layers.mlp import GatedMLP
from dovetail.layers.norms import RMSNorm
from dovetail_models_text.gemma.configuration import GemmaConfig
from dovetail_models_text.llama.modeling import LlamaDecoderLayer, LlamaModel, LlamaPreTrainedModel


class GemmaDecoderLayer(LlamaDecoderLayer):
    """Llama's layer with Gemma's norms and activation."""

    @staticmethod
    def make_mlp(config: Any, layer_idx: int) -> nn.Module:
        return GatedMLP(
            config.hidden_size,
            config.intermediate_size,
            config.hidden_activation or "gelu_pytorch_tanh",
        )

    @staticmethod
    def make_norm(config: Any) -> nn.Module:
        return RMSNorm(config.hidden_size, config.rms_norm_eps, offset=True)


class GemmaPreTrainedModel(LlamaPreTrainedModel):
    config_class = GemmaConfig
    _no_split_modules: ClassVar[list[str]] = ["GemmaDecoderLayer"]


class GemmaModel(LlamaModel, GemmaPreTrainedModel):
    """The decoder without a head."""

    layer_class = GemmaDecoderLayer

    def embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """Embeddings (B, T, D), scaled by the root of the width, which is rounded as they are."""
        embeddings = super().embed(input_ids, inputs_embeds)
        return embeddings * embeddings.new_tensor(self.config.hidden_size**0.5)


class GemmaForCausalLM(ForCausalLM, GemmaPreTrainedModel):
    """The decoder with next-token logits."""


class GemmaForSequenceClassification(ForSequenceClassification, GemmaPreTrainedModel):
    """The decoder with a label for each text."""


class GemmaForTokenClassification(ForTokenClassification, GemmaPreTrainedModel):
    """The decoder with a label for each token."""
