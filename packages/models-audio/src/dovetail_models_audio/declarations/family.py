"""How a family of this distribution is declared."""

from __future__ import annotations

from typing import Any

from dovetail.declarations import ModelDeclaration
from dovetail.declarations import family as declared

PACKAGE = "dovetail_models_audio"


def family(
    model_type: str, prefix: str, heads: tuple[str, ...], **options: Any
) -> ModelDeclaration:
    """A family of this package, in the folder called as its model type with underscores."""
    folder = model_type.replace("-", "_")
    return declared(model_type, f"{PACKAGE}.{folder}", prefix, heads, **options)
