"""What `dovetail-quantizers` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import QuantizerDeclaration


@hookimpl
def dovetail_quantizers() -> list[QuantizerDeclaration]:
    """The quantization methods of this distribution."""
    return []
