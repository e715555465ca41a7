"""What this package adds to Dovetail. Importing this module imports no torch."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import QuantizerDeclaration


@hookimpl
def dovetail_quantizers() -> list[QuantizerDeclaration]:
    """The methods of this package, by the `quant_method` that stands in ``config.json``."""
    return [
        QuantizerDeclaration(
            "acme-example",
            quantizer="acme_example.quantizer:AcmeExampleQuantizer",
            config="acme_example.config:AcmeExampleConfig",
        )
    ]
