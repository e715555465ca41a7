"""Encoders: they read a whole text at once."""

from __future__ import annotations

from dovetail_models_text.declarations.family import CLASSIFIERS, family, picked

ENCODERS = (
    family(
        "bert",
        "Bert",
        (
            "Model",
            "ForMaskedLM",
            "ForMultipleChoice",
            "ForNextSentencePrediction",
            "ForPreTraining",
            *CLASSIFIERS,
        ),
        auto=picked("BertLMHeadModel", "ForCausalLM")
        | picked("BertModel", "ForTextEncoding")
        | picked("BertForMaskedLM", "WithLMHead"),
        models=("PreTrainedModel", "Layer"),
        tokenizer="BertTokenizer",
        aliases={
            "BasicTokenizer": "tokenization:BasicTokenizer",
            "WordpieceTokenizer": "tokenization:WordpieceTokenizer",
        },
    ),
)
