"""Configuration of LLaVA-NeXT."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from dovetail.config_fields import Size, TokenId
from dovetail.errors import ConfigError
from dovetail_models_vision.vision_language.parts import VisionLanguageConfig

PIN_POINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""The sizes (height, width) into which pictures are fitted where a file says nothing."""


class LlavaNextConfig(VisionLanguageConfig):
    """As `LlavaConfig`; pictures are fitted into one of `image_grid_pinpoints`, pairs of height and
    width, and cut into tiles of the vision part's size."""

    model_type: ClassVar[str] = "llava_next"

    vision_config: Any = None
    text_config: Any = None
    ignore_index: int = -100
    image_token_index: TokenId = 32000
    projector_hidden_act: str = "gelu"
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    vision_feature_layer: int = -2
    image_grid_pinpoints: list[list[int]] | None = None
    tie_word_embeddings: bool = False
    image_seq_length: Size = 576

    def derive(self) -> None:
        """The usual pin points, where none are given."""
        if self.image_grid_pinpoints is None:
            self.image_grid_pinpoints = [list(point) for point in PIN_POINTS]

    def check(self) -> None:
        """Refuse pin points that are no sizes."""
        check_pin_points(type(self).__name__, self.image_grid_pinpoints or ())


def check_pin_points(owner: str, points: Any) -> None:
    """Raise `ConfigError` unless `points` are pairs of positive numbers."""
    wrong = [point for point in points if len(point) != 2 or min(point) < 1]
    if wrong or not points:
        raise ConfigError(
            f"{owner}: image_grid_pinpoints={wrong or points} must be pairs of height and width, "
            "at least one."
        )
