"""Pictures that depend on a name alone, and what golden files keep of pictures.

As `seeded`, this file is loaded by its path in the reference library's environment too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

BLOCK = 8
"""Pixels along the side of an area of one colour."""


def painted(integers: Callable[..., np.ndarray], name: str, width: int, height: int) -> Image.Image:
    """The RGB picture `name`: squares of colours from `integers` (`seeded.integers`)."""
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    coarse = integers(name, (rows, columns, 3), 0, 256).astype(np.uint8)
    fine = coarse.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return Image.fromarray(fine[:height, :width])


def with_pictures(value: Any, integers: Callable[..., np.ndarray]) -> Any:
    """`value` with each ``{"picture": name, "width": ..., "height": ...}`` painted."""
    if isinstance(value, list):
        return [with_pictures(item, integers) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "picture" in value:
        return painted(integers, value["picture"], value["width"], value["height"])
    return {key: with_pictures(item, integers) for key, item in value.items()}


def kept(picture: Image.Image) -> dict[str, Any]:
    """What a golden file says of a picture: mode, size, and `summary` of its shares of white."""
    shares = np.asarray(picture, dtype=np.float64) / 255
    return {"mode": picture.mode, "size": list(picture.size), **summary(shares)}


def summary(values: np.ndarray) -> dict[str, Any]:
    """The means of the rows and of the columns of a map (height, width)."""
    return {"rows": values.mean(axis=1).tolist(), "columns": values.mean(axis=0).tolist()}
