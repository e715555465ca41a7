"""Mistral: Llama with a sliding window, which its config declares (arXiv 2310.06825)."""

from __future__ import annotations

from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail_models_text.llama.modeling import LlamaModel, LlamaPreTrainedModel
from dovetail_models_text.mistral.configuration import MistralConfig


class MistralPreTrainedModel(LlamaPreTrainedModel):
    config_class = MistralConfig


class MistralModel(LlamaModel, MistralPreTrainedModel):
    """The decoder without a head."""


class MistralForCausalLM(ForCausalLM, MistralPreTrainedModel):
    """The decoder with next-token logits."""


class MistralForSequenceClassification(ForSequenceClassification, MistralPreTrainedModel):
    """The decoder with a label for each text."""


class MistralForTokenClassification(ForTokenClassification, MistralPreTrainedModel):
    """The decoder with a label for each token."""
