"""ViLT's pictures: the shorter edge 384 pixels, both multiples of 32, and a mask of pixels."""

from __future__ import annotations

from typing import Any

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.padding import PaddingImageProcessor
from dovetail_models_vision.images.processor import Settings

LONGEST = 1333 / 800
"""How much longer than the wanted shorter edge the longer one may become."""


class ViltImageProcessor(PaddingImageProcessor):
    """`size_divisor` is what both edges are rounded down to multiples of."""

    size = {"shortest_edge": 384}
    size_divisor = 32
    resample = PILImageResampling.BICUBIC
    do_pad = True

    def output_size(self, size: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """The shorter edge as wanted unless the longer gets too long; rounded down."""
        shorter, divisor = settings.size["shortest_edge"], settings.size_divisor
        longer = int(LONGEST * shorter)
        scale = shorter / min(size)
        edges = [float(shorter) if n == min(size) else scale * n for n in size]
        if max(edges) > longer:
            edges = [n * (longer / max(edges)) for n in edges]
        height, width = (max(int(n + 0.5) // divisor, 1) * divisor for n in edges)
        return height, width

    def batch(self, pixels: Any, settings: Settings) -> dict[str, Any]:
        """Padded to the largest picture, with ``pixel_mask``."""
        return self.padded(pixels) if settings.do_pad else {"pixel_values": pixels}
