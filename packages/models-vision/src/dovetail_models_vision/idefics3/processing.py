"""Idefics3's processor: image tokens for each tile of a picture, behind a word for its row and
column, and for the picture as a whole."""

from __future__ import annotations

import re
from typing import Any

from dovetail.processors import BatchFeature
from dovetail_models_vision.idefics2.processing import AROUND, Idefics2Processor
from dovetail_models_vision.images.groups import groups_of_images

WHOLE = "<global-img>"
"""What stands before the tokens of a picture as a whole."""
PLACES = re.compile(rf"(\n?{WHOLE}\n?|<row_\d+_col_\d+>\n?)+")


class Idefics3Processor(Idefics2Processor):
    """An `Idefics3ImageProcessor` and a tokenizer, which gets the tokens that it lacks.

    `image_seq_len` is the number of tokens that a tile takes: those of its patches, divided by the
    square of the model's ``scale_factor``.
    """

    image_processor_class = "Idefics3ImageProcessor"
    notes = ("image_seq_len", "rows", "cols")

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any = None,
        image_seq_len: int = 169,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, image_seq_len, chat_template)

    def prepare_images(self, images: Any, options: dict[str, Any]) -> BatchFeature:
        """What the image processor makes of the images of each text, with their tiles."""
        length = options.pop("image_seq_len", None) or self.image_seq_len
        groups = groups_of_images(images)
        made = self.image_processor(groups, **options, return_row_col_info=True)
        made["image_seq_len"] = length
        return made

    def image_texts(self, images: BatchFeature) -> list[str]:
        """Tokens of each picture: a line for each row of tiles, and the picture as a whole."""
        tokens = self.image_token * images["image_seq_len"]
        grids = [
            grid
            for group in zip(images["rows"], images["cols"], strict=True)
            for grid in zip(*group, strict=True)
        ]
        whole = f"{AROUND}{WHOLE}{tokens}{AROUND}"
        return [tiled(rows, columns, tokens) + whole for rows, columns in grids]

    def written(self, texts: list[str], seen: Any, watched: Any) -> list[str]:
        """Each text with its placeholders replaced."""
        return super(Idefics2Processor, self).written(texts, seen, watched)

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """The tokenizer's `decode`, with one placeholder for what stands for places of tiles."""
        return PLACES.sub(self.image_token, super().decode(*args, **kwargs))

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """The tokenizer's `batch_decode`, with one placeholder for what stands for places of
        tiles."""
        return [PLACES.sub(self.image_token, one) for one in super().batch_decode(*args, **kwargs)]


def tiled(rows: int, columns: int, tokens: str) -> str:
    """A line for each row of tiles, and an empty one; nothing without tiles."""
    lines = [
        "".join(f"{AROUND}<row_{row + 1}_col_{column + 1}>{tokens}" for column in range(columns))
        for row in range(rows)
    ]
    return "".join(f"{line}\n" for line in [*lines, ""]) if lines else ""
