"""Where the tiles of a picture lie (AnyRes).

A picture is fitted, by its aspect, into the best of some sizes (height, width), its pin points, and
put in the middle of it; this is cut into square tiles. What the border shows is left out of the
features. All of it follows from the picture's size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Size = tuple[int, int]
"""Height and width."""


class Grid(NamedTuple):
    """Rows and columns of tiles, or of patches."""

    rows: int
    columns: int

    @property
    def area(self) -> int:
        """How many there are."""
        return self.rows * self.columns


def best_size(size: Size, pin_points: Iterable[Sequence[int]]) -> Size:
    """Of `pin_points` the one in which a picture of `size` shows the most, and of these the
    smallest.

    >>> best_size((300, 500), [(336, 672), (672, 336), (672, 672)])
    (336, 672)
    """

    def merit(point: Size) -> tuple[int, int]:
        scale = min(point[1] / size[1], point[0] / size[0])
        shown = int(size[1] * scale) * int(size[0] * scale)
        useful = min(shown, size[0] * size[1])
        return useful, useful - point[0] * point[1]

    return max(((int(height), int(width)) for height, width in pin_points), key=merit)


def tile_grid(size: Size, pin_points: Iterable[Sequence[int]], tile: int) -> Grid:
    """The tiles of edge `tile` of a picture of `size`."""
    height, width = best_size(size, pin_points)
    return Grid(height // tile, width // tile)


def tile_count(size: Size, pin_points: Iterable[Sequence[int]], tile: int) -> int:
    """How many pictures are made of one of `size`: its tiles and the whole."""
    height, width = best_size(size, pin_points)
    return math.ceil(height / tile) * math.ceil(width / tile) + 1


def fitted(size: Size, target: Size) -> Size:
    """The largest size of the aspect of `size` within `target`.

    >>> fitted((300, 500), (672, 672))
    (404, 672)
    """
    by_width, by_height = target[1] / size[1], target[0] / size[0]
    if by_width < by_height:
        return min(math.ceil(size[0] * by_width), target[0]), target[1]
    return target[0], min(math.ceil(size[1] * by_height), target[1])


def borders(size: Size, grid: Grid) -> Size:
    """How many of the rows above and below, and of the columns at either side, of a `grid` of
    patches show the border of a picture of `size`.

    >>> borders((300, 500), Grid(48, 48))
    (10, 0)
    """
    height, width = size
    if width / height > grid.columns / grid.rows:
        return (grid.rows - int(height * (grid.columns / width))) // 2, 0
    return 0, (grid.columns - int(width * (grid.rows / height))) // 2


def shown(size: Size, grid: Grid) -> Grid:
    """The patches of a `grid` that show a picture of `size`."""
    above, beside = borders(size, grid)
    return Grid(grid.rows - 2 * above, grid.columns - 2 * beside)
