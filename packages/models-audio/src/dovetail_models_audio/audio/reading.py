"""Reading sound from paths, URLs, bytes, open files and arrays, whole or in chunks, with PyAV.

What is read is data: containers which name further files (playlists) can open none of them.
"""

from __future__ import annotations

import os
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import av
import numpy as np

from dovetail.errors import ProcessorError, quoted
from dovetail_models_audio.audio.resampling import resample

LONGEST_SECONDS = 6 * 3600.0
"""`load_audio` reads no more at once; `stream_audio` knows no limit."""
LARGEST_DOWNLOAD = 2 * 1024**3
SLACK_SECONDS = 0.5
"""Headers may be off by so much before a file counts as cut off."""
EXACT_FORMATS = frozenset({"flac", "mov,mp4,m4a,3gp,3g2,mj2"})
"""Containers whose headers know how long the sound is; of others what is there is read."""
NO_PROTOCOLS = {"protocol_whitelist": "none"}

Source = str | os.PathLike[str] | bytes | IO[bytes]


def load_audio(
    audio: Any,
    sampling_rate: int = 16000,
    mono: bool = True,
    from_rate: int | None = None,
    timeout: float | None = 30.0,
    max_length_s: float | None = LONGEST_SECONDS,
) -> np.ndarray:
    """Sound as float32 at `sampling_rate` hertz: (T,), or (C, T) with ``mono=False``.

    `audio` is a path, an http(s) URL (`timeout` in seconds), the bytes of a file, a binary file, or
    an array (T,) or (C, T) whose rate `from_rate` is (`sampling_rate` where it is None). Any
    container and channel layout that FFmpeg knows is read; channels are averaged into one.

    Raises:
        ProcessorError: no sound, damaged or cut-off data, NaN, or more than `max_length_s`.
        OSError: the file or URL cannot be opened.
    """
    if _is_array(audio):
        return _array(audio, sampling_rate, mono, from_rate)
    chunks, samples = [], 0
    limit = None if max_length_s is None else int(max_length_s * sampling_rate)
    for chunk in _decoded(audio, sampling_rate, mono, timeout):
        chunks.append(chunk)
        samples += chunk.shape[-1]
        if limit is not None and samples > limit:
            raise ProcessorError(
                f"{_name(audio)} is longer than max_length_s={max_length_s}: read it in parts with "
                "stream_audio, or raise the limit."
            )
    return np.concatenate(chunks, axis=-1)


def stream_audio(
    audio: Source,
    sampling_rate: int = 16000,
    chunk_length_s: float = 30.0,
    mono: bool = True,
    timeout: float | None = 30.0,
) -> Iterator[np.ndarray]:
    """The sound of `load_audio` in chunks of `chunk_length_s` seconds, the last one shorter.

    No more than a chunk is held in memory, however long the file is.
    """
    size = int(chunk_length_s * sampling_rate)
    if size < 1:
        raise ProcessorError(f"chunk_length_s={chunk_length_s}: a chunk has at least one sample.")
    return _rechunked(_decoded(audio, sampling_rate, mono, timeout), size)


def _rechunked(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.shape[-1]
        while count >= size:
            joined = np.concatenate(waiting, axis=-1)
            yield joined[..., :size]
            waiting, count = [joined[..., size:]], count - size
    if count:
        yield np.concatenate(waiting, axis=-1)


def _decoded(audio: Source, rate: int, mono: bool, timeout: float | None) -> Iterator[np.ndarray]:
    """The decoded, resampled pieces of a source; at least one."""
    name = _name(audio)
    with ExitStack() as stack:
        file = _opened(audio, timeout, stack)
        try:
            container = stack.enter_context(av.open(file, options=dict(NO_PROTOCOLS)))
            if not container.streams.audio:
                kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
                raise ProcessorError(f"{name} has no audio stream; it holds {kinds}.")
            yield from _pieces(container, rate, mono, name)
        except (av.FFmpegError, EOFError) as error:
            raise ProcessorError(
                f"{name} cannot be read as sound ({error}): it is damaged, cut off or of a format "
                "that FFmpeg does not know. Try to play it, or convert it to WAV."
            ) from error


def _pieces(container: Any, rate: int, mono: bool, name: str) -> Iterator[np.ndarray]:
    stream = container.streams.audio[0]
    layout = stream.codec_context.layout.name  # FFmpeg's own mix to mono exceeds full scale
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    decoded = given = 0
    for frame in container.decode(stream):
        decoded += frame.samples
        for piece in resampler.resample(frame):
            given += piece.samples
            yield _checked(piece.to_ndarray(), mono, name)
    if decoded:
        for piece in resampler.resample(None):
            given += piece.samples
            yield _checked(piece.to_ndarray(), mono, name)
    if not given:
        raise ProcessorError(f"{name} holds no samples of sound.")
    declared = _declared_seconds(container, stream)
    found = decoded / stream.codec_context.sample_rate
    if found < declared - SLACK_SECONDS:
        raise ProcessorError(
            f"{name} is cut off: its header says {declared:.1f} s of sound, {found:.1f} s are "
            "there. Fetch it again."
        )


def _declared_seconds(container: Any, stream: Any) -> float:
    if container.format.name not in EXACT_FORMATS or stream.duration is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def _checked(piece: np.ndarray, mono: bool, name: str) -> np.ndarray:
    if not np.isfinite(piece).all():
        raise ProcessorError(f"{name} holds samples that are NaN or infinite.")
    return piece.mean(axis=0) if mono else piece


def _opened(audio: Source, timeout: float | None, stack: ExitStack) -> Any:
    """A binary file; never a path, by which FFmpeg would open whatever a playlist names."""
    if isinstance(audio, bytes | bytearray | memoryview):
        if not len(audio):
            raise ProcessorError("The audio is empty: there are no bytes in it.")
        return BytesIO(audio)
    if isinstance(audio, str) and audio.startswith(("http://", "https://")):
        return _downloaded(audio, timeout, stack)
    if isinstance(audio, str | os.PathLike):
        path = Path(audio)
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no file {quoted(str(audio))}: pass a path, a URL, bytes or an array."
            )
        if not path.stat().st_size:
            raise ProcessorError(f"{_name(audio)} is empty.")
        return stack.enter_context(path.open("rb"))
    if hasattr(audio, "read"):
        return audio
    raise ProcessorError(
        f"Sound is a path, a URL, bytes, a binary file or an array, not {type(audio).__name__}."
    )


def _downloaded(url: str, timeout: float | None, stack: ExitStack) -> Any:
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    size = 0
    with urllib.request.urlopen(url, timeout=timeout) as response:
        while block := response.read(1 << 20):
            size += len(block)
            if size > LARGEST_DOWNLOAD:
                raise ProcessorError(
                    f"{quoted(url)} is larger than {LARGEST_DOWNLOAD} bytes: fetch it to a file "
                    "and pass its path."
                )
            file.write(block)
    file.seek(0)
    return file


def _array(audio: Any, rate: int, mono: bool, from_rate: int | None) -> np.ndarray:
    samples = np.asarray(audio)
    if samples.dtype.kind in "iu":
        # Whole numbers are what a sound card gives: their largest is full scale.
        samples = samples.astype(np.float32) / float(np.iinfo(samples.dtype).max + 1)
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2) or not samples.size:
        raise ProcessorError(
            f"An array of sound is (samples,) or (channels, samples), of numbers; this one is "
            f"{samples.shape} of {samples.dtype}."
        )
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise ProcessorError(
            f"An array of the shape {samples.shape} has more channels than samples: pass "
            "(channels, samples), which is its transpose."
        )
    if not np.isfinite(samples).all():
        raise ProcessorError("The array holds samples that are NaN or infinite.")
    if mono and samples.ndim == 2:
        samples = samples.mean(axis=0)
    elif not mono:
        samples = np.atleast_2d(samples)
    samples = samples.astype(np.float32)
    return resample(samples, rate if from_rate is None else from_rate, rate)


def _is_array(audio: Any) -> bool:
    return isinstance(audio, list | tuple) or hasattr(audio, "__array__")


def _name(audio: Any) -> str:
    if isinstance(audio, str | os.PathLike):
        return quoted(str(audio))
    return f"The audio of {len(audio)} bytes" if isinstance(audio, bytes) else "The audio"
