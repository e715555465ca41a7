"""Reading frames of videos with PyAV, without trusting what is in the files.

T frames, H height, W width.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import av
import numpy as np

from dovetail.errors import ProcessorError, quoted
from dovetail_models_vision.images.loading import MAX_BYTES, MAX_PIXELS, TIMEOUT, fetch

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,ogg,gif,apng,ivf,nut,"
    "h264,hevc,mjpeg,dv,yuv4mpegpipe"
)
"""What is opened. Playlists and scripts, which name other files and addresses, are not among
them."""

MAX_FRAMES = 100_000
"""The longest video that is decoded to the end: about an hour at 30 frames per second."""

COMPLETE = 0.95
"""The share of its frames that a video must have: what files say of themselves is not exact."""

MAX_MEMORY = 4 * 2**30
"""The most that the frames of one video may take, in bytes."""

Source = str | Path | bytes | IO[bytes]


def load_video(
    video: Source,
    num_frames: int | None = None,
    fps: float | None = None,
    *,
    indices: Sequence[int] | None = None,
    max_pixels: int = MAX_PIXELS,
    max_memory: int = MAX_MEMORY,
    timeout: float | None = None,
) -> np.ndarray:
    """Frames (T, H, W, 3) of a video as RGB shades.

    `video` is a path, an ``http(s)://`` address, the bytes of a file, or an open one. Of its frames
    one may ask for `num_frames`, evenly spaced from the first on, for `fps` in a second, or for
    those of `indices`, which may repeat and be in any order; otherwise all are read. `max_pixels`
    bounds the area of a frame, `max_memory` what all frames take, in bytes; `timeout` a download,
    in seconds.

    Raises:
        ProcessorError: there is no video, it has no frames or not those asked for, it is damaged,
            or larger than the limits.
    """
    choose = chooser(num_frames, fps, indices)
    what, content = opened(video, timeout)
    limits = (max_pixels, max_memory)
    with stream_of(content, what) as stream:
        count, rate = stream.frames, float(stream.average_rate or 0)
    if count == 0 and choose is not None:
        count = counted(content, what, whole=indices is None)
    chosen = None if choose is None else choose(count, rate, what)
    frames = decoded(content, what, chosen, *limits)
    if chosen is not None and len(frames) < len(set(chosen)):  # the file says a wrong number
        chosen = choose(counted(content, what, indices is None), rate, what)  # type: ignore[misc]
        frames = decoded(content, what, chosen, *limits)
    if not frames:
        raise ProcessorError(f"{what}: the video has no frames. Check that the file is complete.")
    order = sorted(frames) if chosen is None else chosen
    if len(sizes := {frame.shape[:2] for frame in frames.values()}) > 1:
        raise ProcessorError(
            f"{what}: the frames change their size, {sorted(sizes)}. Convert the video to one size."
        )
    return np.stack([frames[index] for index in order])


Choice = Callable[[int, float, str], list[int]]
"""Indices from how many frames there are, how many of them in a second, and the video's name."""


def chooser(
    num_frames: int | None, fps: float | None, indices: Sequence[int] | None
) -> Choice | None:
    """How frames are chosen; None for all of them.

    Raises:
        ProcessorError: by more than one rule, or by numbers that cannot be.
    """
    given = {"num_frames": num_frames, "fps": fps, "indices": indices}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ProcessorError(f"{' and '.join(names)} both choose frames: give one of them.")
    for name in ("num_frames", "fps"):
        value: Any = given[name]
        if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
            raise ProcessorError(f"{name}={value!r} must be a positive number.")
    if num_frames is not None:
        return lambda count, rate, what: evenly(int(num_frames), count, what)
    if fps is not None:
        return lambda count, rate, what: by_rate(fps, count, rate, what)
    if indices is not None:
        return lambda count, rate, what: checked([int(index) for index in indices], count, what)
    return None


def evenly(wanted: int, count: int, what: str = "video") -> list[int]:
    """`wanted` of `count` frames, evenly spaced, the first among them.

    >>> evenly(4, 10)
    [0, 2, 5, 7]
    """
    if wanted > count:
        raise ProcessorError(
            f"{what}: num_frames={wanted}, and the video has {count} frames. Ask for fewer."
        )
    return [index * count // wanted for index in range(wanted)]


def by_rate(fps: float, count: int, rate: float, what: str = "video") -> list[int]:
    """`fps` in a second of `count` frames, of which there are `rate` in a second.

    >>> by_rate(2, 10, 5)
    [0, 2, 5, 7]
    """
    if rate <= 0:
        raise ProcessorError(
            f"{what}: the file does not say how many frames are in a second, so fps={fps:g} cannot "
            "be had. Give num_frames or indices."
        )
    if fps > rate:
        raise ProcessorError(
            f"{what}: fps={fps:g}, and the video has {rate:g} frames in a second. Ask for fewer."
        )
    return evenly(max(int(count / rate * fps), 1), count, what)


def checked(indices: list[int], count: int, what: str) -> list[int]:
    """`indices`, those from the end as usual ones; refuses others than those of `count` frames."""
    wrong = [index for index in indices if not -count <= index < count]
    if wrong or not indices:
        raise ProcessorError(
            f"{what}: indices={wrong or indices}, and the video has the frames 0 to {count - 1}. "
            "Ask for one or more of these."
        )
    return [index % count for index in indices]


def opened(video: Source, timeout: float | None = None) -> tuple[str, Path | bytes]:
    """How errors call a video, and the file or its content."""
    if isinstance(video, bytes):
        return "video (bytes)", video
    if hasattr(video, "read"):
        return f"video ({getattr(video, 'name', 'an open file')})", video.read()
    if not isinstance(video, str | Path):
        raise ProcessorError(
            f"video: a {type(video).__name__} cannot be read. Pass a path, an address, bytes or an "
            "open file."
        )
    text = str(video)
    if text.startswith(("http://", "https://")):
        return quoted(text), fetch(text, timeout or TIMEOUT, MAX_BYTES)
    if not Path(text).is_file():
        raise ProcessorError(f"{quoted(text)}: there is no such video file.")
    return quoted(text), Path(text)


@contextmanager
def stream_of(content: Path | bytes, what: str) -> Iterator[Any]:
    """The video stream of a file; whatever goes wrong while it is open is said in one sentence."""
    source = io.BytesIO(content) if isinstance(content, bytes) else str(content)
    try:
        with av.open(
            source, options={"format_whitelist": FORMATS}, metadata_errors="replace"
        ) as container:
            if not container.streams.video:
                raise ProcessorError(f"{what}: the file holds no video. Check what it is.")
            yield container.streams.video[0]
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, ProcessorError):
            raise
        raise ProcessorError(
            f"{what}: the video is damaged or of an unknown format ({error}). Check that the file "
            "is complete."
        ) from error


def each_frame(stream: Any, what: str) -> Iterator[tuple[int, Any]]:
    """The frames of a stream with their indices."""
    stream.thread_type = "AUTO"
    for index, frame in enumerate(stream.container.decode(stream)):
        if index >= MAX_FRAMES:
            raise ProcessorError(
                f"{what}: more than {MAX_FRAMES} frames. Cut the video, or give indices."
            )
        yield index, frame


def counted(content: Path | bytes, what: str, whole: bool) -> int:
    """How many frames there really are; refuses a video that is cut short if it must be
    `whole`."""
    with stream_of(content, what) as stream:
        count = sum(1 for _ in each_frame(stream, what))
        if whole:
            check_complete(stream, count, what)
    return count


def check_complete(stream: Any, count: int, what: str) -> None:
    """Raise `ProcessorError` when the file says that it has many more than `count` frames."""
    container, rate = stream.container, stream.average_rate or 0
    lengths = [stream.frames, (stream.duration or 0) * (stream.time_base or 0) * rate]
    if stream.frames or len(container.streams) == 1:  # else another stream may last longer
        lengths.append((container.duration or 0) / av.time_base * rate)
    promised = min((round(length) for length in lengths if length), default=0)
    if count + 1 < promised * COMPLETE:
        raise ProcessorError(
            f"{what}: the file says that it has {promised} frames, and {count} can be read. It is "
            "cut short or damaged; give indices to read what is there."
        )


def decoded(
    content: Path | bytes, what: str, chosen: Sequence[int] | None, max_pixels: int, max_memory: int
) -> dict[int, np.ndarray]:
    """The `chosen` frames (H, W, 3), or all, by index; fewer where the video ends before."""
    wanted = None if chosen is None else set(chosen)
    frames: dict[int, np.ndarray] = {}
    taken = 0
    with stream_of(content, what) as stream:
        area = (stream.width or 0) * (stream.height or 0)
        if area > max_pixels:
            raise ProcessorError(
                f"{what}: frames of {stream.width} x {stream.height} pixels are more than the "
                f"limit of {max_pixels}. Make the video smaller, or raise max_pixels."
            )
        for index, frame in each_frame(stream, what):
            if wanted is not None and index not in wanted:
                continue
            taken += 3 * frame.width * frame.height
            if taken > max_memory:
                raise ProcessorError(
                    f"{what}: {len(frames) + 1} frames of {frame.width} x {frame.height} pixels "
                    f"take more than {max_memory} bytes. Give num_frames or fps, or raise "
                    "max_memory."
                )
            frames[index] = upright(frame)
            if wanted is not None and len(frames) == len(wanted):
                break
        if wanted is None:
            check_complete(stream, len(frames), what)
    return frames


def upright(frame: Any) -> np.ndarray:
    """A frame as shades (H, W, 3), turned as the file says that it is to be shown."""
    shades = frame.to_ndarray(format="rgb24")
    return np.rot90(shades, round(getattr(frame, "rotation", 0) / 90)).copy()
