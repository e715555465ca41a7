"""Window functions, and the length of a transform."""

from __future__ import annotations

from functools import cache

import numpy as np

from dovetail.errors import ProcessorError

POVEY_EXPONENT = 0.85
NAMES = ("boxcar", "hamming", "hamming_window", "hann", "hann_window", "povey")


def optimal_fft_length(window_length: int) -> int:
    """The smallest power of two that is not below `window_length` (in samples).

    >>> optimal_fft_length(400)
    512
    """
    if window_length < 1:
        raise ProcessorError(f"window_length={window_length}: a window has at least one sample.")
    return 1 << (window_length - 1).bit_length()


def window_function(
    window_length: int,
    name: str = "hann",
    periodic: bool = True,
    frame_length: int | None = None,
    center: bool = True,
) -> np.ndarray:
    """A window (window_length,), or (frame_length,) with zeros around it or behind it.

    `name` is ``boxcar``, ``hamming``, ``hann`` (both also with ``_window``) or ``povey``. A
    periodic window is one period of its cosine, a symmetric one ends where it began.

    Raises:
        ProcessorError: an unknown name, or a window that is longer than its frame.
    """
    values = _window(int(window_length), name, periodic)
    if frame_length is None:
        return values.copy()
    if window_length > frame_length:
        raise ProcessorError(
            f"A window of window_length={window_length} samples does not fit into "
            f"frame_length={frame_length}. Make the frame longer."
        )
    before = (frame_length - window_length) // 2 if center else 0
    return np.pad(values, (before, frame_length - window_length - before))


@cache
def _window(length: int, name: str, periodic: bool) -> np.ndarray:
    if name not in NAMES:
        raise ProcessorError(f"There is no window {name!r}. Use one of {', '.join(NAMES)}.")
    points = length + 1 if periodic else length
    kind = name.removesuffix("_window")
    if kind == "boxcar":
        values = np.ones(points)
    elif kind == "hamming":
        values = np.hamming(points)
    else:
        values = np.hanning(points)
    if kind == "povey":
        values = values**POVEY_EXPONENT
    return values[:length]
