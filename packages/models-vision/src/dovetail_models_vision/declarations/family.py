"""How a family of this distribution is declared."""

from __future__ import annotations

from typing import Any

from dovetail.declarations import ModelDeclaration
from dovetail.declarations import family as declared

PACKAGE = "dovetail_models_vision"


def family(
    model_type: str, prefix: str, heads: tuple[str, ...], **options: Any
) -> ModelDeclaration:
    """A family of this package, in the folder called as its model type with underscores."""
    folder = model_type.replace("-", "_")
    return declared(model_type, f"{PACKAGE}.{folder}", prefix, heads, **options)


def tower(
    model_type: str,
    target: str,
    auto: tuple[str, ...] = ("AutoModel",),
    models: tuple[str, ...] = (),
) -> ModelDeclaration:
    """One half of a family, picked by the classes `auto`: `target` is folder, module and prefix."""
    module, _, prefix = target.partition(":")
    where = f"{PACKAGE}.{module}:{prefix}"
    return ModelDeclaration(
        model_type,
        config=f"{PACKAGE}.{module.partition('.')[0]}.configuration:{prefix}Config",
        auto=dict.fromkeys(auto, f"{where}Model"),
        models=tuple(where + suffix for suffix in models),
    )
