"""What `dovetail-models-text` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import ModelDeclaration, family

PACKAGE = "dovetail_models_text"
CLASSIFIERS = ("ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification")


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [
        family(
            "llama",
            f"{PACKAGE}.llama",
            "Llama",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            tokenizer="LlamaTokenizer",
        ),
    ]
