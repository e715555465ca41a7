"""Text architectures, their tokenizers and the text pipelines of Dovetail.

The declarations are in `dovetail_models_text.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-models-text")
