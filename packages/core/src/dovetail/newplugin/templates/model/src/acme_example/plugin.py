"""What this package adds to Dovetail. Importing this module imports neither torch nor the model."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import ModelDeclaration, family


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this package, by the `model_type` that stands in ``config.json``."""
    return [
        family(
            "acme_example",
            "acme_example",
            "AcmeExample",
            ("Model", "ForCausalLM", "ForSequenceClassification"),
            tokenizer="AcmeExampleTokenizer",
        )
    ]
