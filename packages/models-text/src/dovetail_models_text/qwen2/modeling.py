"""Qwen 2: Llama with biases on queries, keys and values, and windows in its upper layers, all of
which its config declares (arXiv 2407.10671)."""

from __future__ import annotations

from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail_models_text.llama.modeling import LlamaModel, LlamaPreTrainedModel
from dovetail_models_text.qwen2.configuration import Qwen2Config


class Qwen2PreTrainedModel(LlamaPreTrainedModel):
    config_class = Qwen2Config


class Qwen2Model(LlamaModel, Qwen2PreTrainedModel):
    """The decoder without a head."""


class Qwen2ForCausalLM(ForCausalLM, Qwen2PreTrainedModel):
    """The decoder with next-token logits."""


class Qwen2ForSequenceClassification(ForSequenceClassification, Qwen2PreTrainedModel):
    """The decoder with a label for each text."""


class Qwen2ForTokenClassification(ForTokenClassification, Qwen2PreTrainedModel):
    """The decoder with a label for each token."""
