"""Idefics2's pictures: of any size within limits, in whole and, on request, in quarters."""

from __future__ import annotations

from typing import Any

from dovetail_models_vision.images.formats import PILImageResampling
from dovetail_models_vision.images.groups import GroupedImageProcessor, Size
from dovetail_models_vision.images.processor import Settings
from dovetail_models_vision.images.sizes import within_edge


class Idefics2ImageProcessor(GroupedImageProcessor):
    """Shrinks the longer edge to its limit, then stretches each edge to the shortest.

    `do_image_splitting` puts the picture's four quarters in front of it.
    """

    size = {"shortest_edge": 378, "longest_edge": 980}
    resample = PILImageResampling.BILINEAR
    do_image_splitting = False
    do_pad = True

    def pieces(self, image: Any, settings: Settings) -> list[Any]:
        """The picture behind its quarters, row by row, if it is split."""
        parts = [image]
        if settings.do_image_splitting:
            middle, centre = image.shape[1] // 2, image.shape[2] // 2
            halves = image[:, :middle], image[:, middle:]
            quarters = [(half[..., :centre], half[..., centre:]) for half in halves]
            parts = [quarter for pair in quarters for quarter in pair] + parts
        return [self.sized(part, settings) for part in parts]

    def output_size(self, size: Size, settings: Settings) -> Size:
        """(height, width) within the limits; a short edge is stretched out of aspect."""
        wanted = settings.size
        if not {"shortest_edge", "longest_edge"} <= set(wanted):
            return super().output_size(size, settings)
        height, width = within_edge(size, wanted["longest_edge"])
        return max(height, wanted["shortest_edge"]), max(width, wanted["shortest_edge"])
