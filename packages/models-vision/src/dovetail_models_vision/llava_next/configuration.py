"""Configuration of LLaVA-NeXT."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import Size
from dovetail.errors import ConfigError
from dovetail_models_vision.llava.configuration import LlavaFields

PIN_POINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""The sizes (height, width) into which pictures are fitted where a file says nothing."""


class TiledFields(LlavaFields):
    """What the configs of LLaVA-NeXT and its relatives have in common: pictures are fitted into one
    of `image_grid_pinpoints`, pairs of height and width, and cut into tiles of the vision part's
    size."""

    image_grid_pinpoints: list[list[int]] | None = None
    tie_word_embeddings: bool = False

    def derive(self) -> None:
        """The usual pin points, where none are given."""
        if self.image_grid_pinpoints is None:
            self.image_grid_pinpoints = [list(point) for point in PIN_POINTS]

    def check(self) -> None:
        """Refuse pin points that are no sizes."""
        points = self.image_grid_pinpoints or []
        wrong = [point for point in points if len(point) != 2 or min(point) < 1]
        if wrong or not points:
            raise ConfigError(
                f"{type(self).__name__}: image_grid_pinpoints={wrong or points} must be pairs of "
                "height and width, at least one."
            )


class LlavaNextConfig(TiledFields):
    """The config of LLaVA-NeXT; the defaults are those of ``llava-hf/llava-v1.6-mistral-7b-hf``
    with a Llama as its text part."""

    model_type: ClassVar[str] = "llava_next"

    image_seq_length: Size = 576
