"""Videos for tests, made by PyAV without loss."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from dovetail.testing.seeded import integers


def shades(count: int, height: int = 20, width: int = 24) -> np.ndarray:
    """Frames (T, H, W, 3) that differ everywhere."""
    return integers("film", (count, height, width, 3), 0, 256).astype(np.uint8)


def film(
    path: Path, frames: np.ndarray, rate: int = 10, codec: str = "ffv1", pixels: str = "bgr0"
) -> str:
    """Write `frames` (T, H, W, 3) as a video of `rate` frames in a second; returns the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return str(path)
