"""Quantization methods of Dovetail, in plain torch.

The declarations are in `dovetail_quantizers.plugin`; importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("dovetail-quantizers")
