"""How large a picture becomes: the dictionaries of sizes, and the arithmetic of edges.

Sizes are (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import get_image_size

SIZE_KEYS = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
    {"max_height", "max_width"},
)
"""The keys that a size may have."""


def is_valid_size_dict(size_dict: Any) -> bool:
    """Whether it is a dictionary with the keys of a size."""
    return isinstance(size_dict, Mapping) and set(size_dict) in SIZE_KEYS


def get_size_dict(
    size: int | Iterable[int] | Mapping[str, int] | None = None,
    max_size: int | None = None,
    height_width_order: bool = True,
    default_to_square: bool = True,
    param_name: str = "size",
) -> dict[str, int]:
    """A size in any of the field's spellings as a dictionary.

    An int is a square, or with ``default_to_square=False`` the shortest edge (`max_size`: the
    longest); a pair is (height, width), or (width, height) by `height_width_order`.

    Raises:
        ProcessorError: it is no size; the message names `param_name`.
    """
    if isinstance(size, Mapping):
        made = dict(size)
    elif isinstance(size, int) and default_to_square:
        if max_size is not None:
            raise ProcessorError(f"{param_name}={size} as a square leaves no room for max_size.")
        made = {"height": size, "width": size}
    elif size is None and default_to_square:
        raise ProcessorError(f"{param_name}=None: give a size.")
    elif isinstance(size, int) or size is None:
        edges = {"shortest_edge": size, "longest_edge": max_size}
        made = {name: edge for name, edge in edges.items() if edge is not None}
    else:
        pair = list(size)
        if len(pair) != 2:
            raise ProcessorError(f"{param_name}={pair}: a size is a pair.")
        height, width = pair if height_width_order else reversed(pair)
        made = {"height": height, "width": width}
    _check_size(made, param_name)
    return made


def convert_to_size_dict(
    size: Any,
    max_size: int | None = None,
    default_to_square: bool = True,
    height_width_order: bool = True,
) -> dict[str, int]:
    """`get_size_dict` with its arguments in the order of an older name."""
    return get_size_dict(size, max_size, height_width_order, default_to_square)


def _check_size(size: Mapping[str, Any], name: str) -> None:
    if not is_valid_size_dict(size):
        options = " or ".join("/".join(sorted(keys)) for keys in SIZE_KEYS)
        raise ProcessorError(f"{name}={dict(size)}: a size has the keys {options}.")
    for key, edge in size.items():
        if isinstance(edge, bool) or not isinstance(edge, int) or edge < 1:
            raise ProcessorError(
                f"{name}[{key!r}]={edge!r}: an edge is a whole number of pixels, at least 1."
            )


def shortest_edge_size(
    size: tuple[int, int], edge: int, longest: int | None = None
) -> tuple[int, int]:
    """(height, width) of the same aspect with the shorter edge `edge` long, the other rounded down;
    where the longer would exceed `longest`, that one decides."""
    short, long = sorted(size)
    new_short, new_long = edge, int(edge * long / short)
    if longest is not None and new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    pair = (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)
    return max(pair[0], 1), max(pair[1], 1)


def within_size(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The largest (height, width) of the same aspect within a box, rounded down."""
    scale = min(height / size[0], width / size[1])
    return max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)


def within_edge(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) of about the same aspect with no edge above `longest`."""
    height, width = size
    aspect = width / height
    if width >= height and width > longest:
        height, width = int(longest / aspect), longest
    elif height > width and height > longest:
        height, width = longest, int(longest * aspect)
    return max(height, 1), max(width, 1)


def get_resize_output_image_size(
    input_image: Any,
    size: int | Sequence[int],
    default_to_square: bool = True,
    max_size: int | None = None,
    input_data_format: str | None = None,
) -> tuple[int, int]:
    """(height, width) after a resize: a pair is taken as it is, an int is a square or (with
    ``default_to_square=False``) the shorter edge, the longer of which stays within `max_size`.

    Raises:
        ProcessorError: `size` is neither, or `max_size` is no longer than the shorter edge.
    """
    if isinstance(size, list | tuple):
        if len(size) == 2:
            return int(size[0]), int(size[1])
        if len(size) != 1:
            raise ProcessorError(f"size={size!r}: give one or two numbers.")
        size = size[0]
    if default_to_square:
        return int(size), int(size)  # type: ignore[arg-type]
    if max_size is not None and max_size <= size:  # type: ignore[operator]
        raise ProcessorError(f"max_size={max_size} must be more than the shorter edge, {size}.")
    return shortest_edge_size(get_image_size(input_image, input_data_format), int(size), max_size)  # type: ignore[arg-type]


def select_best_resolution(
    original_size: tuple[int, int], possible_resolutions: Iterable[tuple[int, int]]
) -> tuple[int, int]:
    """The resolution in which most of the original's pixels survive, and of those with as many the
    one that wastes fewest."""
    height, width = original_size

    def merit(resolution: tuple[int, int]) -> tuple[int, int]:
        scale = min(resolution[1] / width, resolution[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - resolution[0] * resolution[1]

    return max(possible_resolutions, key=merit)


def multiple_of(value: float, multiple: int, at_least: int = 0, at_most: float = math.inf) -> int:
    """The nearest multiple (halves to even), moved into the limits."""
    nearest = round(value / multiple) * multiple
    if nearest > at_most:
        nearest = math.floor(value / multiple) * multiple
    return math.ceil(value / multiple) * multiple if nearest < at_least else nearest
