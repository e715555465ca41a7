"""Image, video and vision-language architectures of Dovetail.

The declarations are in `dovetail_models_vision.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-models-vision")
