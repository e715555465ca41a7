"""Speech and audio architectures of Dovetail.

The declarations are in `dovetail_models_audio.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-models-audio")
