"""LLaVA-NeXT's processor: a text holds a token for each patch that shows the picture, and one at
the end of each row."""

from __future__ import annotations

from dovetail.processors import BatchFeature
from dovetail_models_vision.llava.processing import LlavaProcessor
from dovetail_models_vision.llava_next.tiles import Grid, Size, best_size, shown


class LlavaNextProcessor(LlavaProcessor):
    """An image processor and a tokenizer; `patch_size` and `vision_feature_select_strategy` as in
    `LlavaProcessor`."""

    image_processor_class = "AutoImageProcessor"

    def image_texts(self, images: BatchFeature) -> list[str]:
        """Tokens of the whole picture, of its tiles, and of the ends of their rows."""
        height, width = images["pixel_values"][0].shape[-2:]
        sizes = ((int(rows), int(columns)) for rows, columns in images["image_sizes"])
        return [self.image_token * self.tokens(size, (height, width)) for size in sizes]

    def tokens(self, size: Size, tile: Size) -> int:
        """How many tokens a picture of `size` takes in tiles of so many pixels."""
        whole = self.patches(*tile)  # says what is not set
        across, down = tile[1] // self.patch_size, tile[0] // self.patch_size  # type: ignore[operator]
        best = best_size(size, self.image_processor.image_grid_pinpoints)
        grid = shown(size, Grid(best[0] // tile[0] * down, best[1] // tile[1] * across))
        return whole + grid.area + grid.rows
