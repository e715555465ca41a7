"""Text architectures, their tokenizers and the text pipelines of Dovetail.

The declarations are in `dovetail_models_text.declarations`; importing this package costs nothing.
"""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # Looked up on demand: every discovery of plugins imports this module, few read the version.
    if name == "__version__":
        from importlib.metadata import version

        return version("dovetail-models-text")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
