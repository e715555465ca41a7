"""Sound through the program ``ffmpeg``: files it decodes, and a microphone in chunks."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dovetail.errors import MissingPackageError, ProcessorError

SAMPLES: dict[str, tuple[int, Any]] = {"s16le": (2, np.int16), "f32le": (4, np.float32)}
"""Format of raw sound to bytes per sample and its type."""
MICROPHONES = {
    "Linux": ("alsa", "default"),
    "Darwin": ("avfoundation", ":0"),
    "Windows": ("dshow", "audio=default"),
}
"""System to FFmpeg's device and its input."""


def ffmpeg_read(bpayload: bytes, sampling_rate: int) -> np.ndarray:
    """The sound (T,) of a file's bytes, float32, one channel, at `sampling_rate`.

    It is read by PyAV, so the program is not needed.
    """
    from dovetail_models_audio.audio.reading import load_audio

    return load_audio(bpayload, sampling_rate)


def ffmpeg_microphone(
    sampling_rate: int,
    chunk_length_s: float,
    format_for_conversion: str = "f32le",
    ffmpeg_input_device: str | None = None,
    ffmpeg_additional_args: list[str] | None = None,
) -> Iterator[bytes]:
    """Raw sound of the microphone in chunks of so many seconds, until it is closed.

    Raises:
        MissingPackageError: there is no ``ffmpeg`` on the PATH.
        ProcessorError: an unknown format or system, or ffmpeg that ends with an error.
    """
    width, _ = _sample_format(format_for_conversion)
    device, default = MICROPHONES.get(platform.system(), (None, ""))
    if device is None:
        raise ProcessorError(f"There is no microphone known for the system {platform.system()!r}.")
    source = ["-f", device, "-i", ffmpeg_input_device or default]
    raw = ["-ac", "1", "-ar", str(sampling_rate), "-f", format_for_conversion]
    quiet = ["-fflags", "nobuffer", "-hide_banner", "-loglevel", "error", "pipe:1"]
    command = [_program(), *source, *raw, *(ffmpeg_additional_args or []), *quiet]
    return _output(command, round(sampling_rate * chunk_length_s) * width)


def ffmpeg_microphone_live(
    sampling_rate: int,
    chunk_length_s: float,
    stream_chunk_s: float | None = None,
    stride_length_s: tuple[float, float] | float | None = None,
    format_for_conversion: str = "f32le",
    ffmpeg_input_device: str | None = None,
    ffmpeg_additional_args: list[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The microphone as a pipeline's inputs: ``raw`` (T,), ``sampling_rate`` and ``stride``.

    Chunks of `chunk_length_s` overlap by `stride_length_s` (a sixth on either side by default);
    with `stream_chunk_s` the chunk under way is given as well, as ``partial``, again and again.
    """
    width, kind = _sample_format(format_for_conversion)
    pieces = ffmpeg_microphone(
        sampling_rate,
        stream_chunk_s or chunk_length_s,
        format_for_conversion,
        ffmpeg_input_device,
        ffmpeg_additional_args,
    )
    stride = chunk_length_s / 6 if stride_length_s is None else stride_length_s
    sides = stride if isinstance(stride, tuple | list) else (stride, stride)
    left, right = (round(sampling_rate * seconds) * width for seconds in sides)
    size = round(sampling_rate * chunk_length_s) * width
    for item in chunk_bytes_iter(pieces, size, (left, right), stream=stream_chunk_s is not None):
        samples = np.frombuffer(item["raw"], dtype=kind)
        ends = tuple(side // width for side in item["stride"])
        yield {**item, "raw": samples, "stride": ends, "sampling_rate": sampling_rate}


def chunk_bytes_iter(
    iterator: Iterable[bytes], chunk_len: int, stride: tuple[int, int], stream: bool = False
) -> Iterator[dict[str, Any]]:
    """Pieces of bytes as chunks of `chunk_len` that overlap by `stride`, left and right.

    Each is ``{"raw", "stride"}``, in bytes; the first has no left stride, the last no right one.
    With `stream` each also says whether it is ``partial``: a chunk that is not yet full.
    """
    left, right = stride
    if left + right >= chunk_len:
        raise ProcessorError(
            f"Strides of {left} and {right} leave nothing of a chunk of {chunk_len}: together they "
            "must be smaller."
        )
    buffer, behind = b"", 0
    for piece in iterator:
        buffer += piece
        if stream and len(buffer) < chunk_len:
            yield {"raw": buffer, "stride": (behind, 0), "partial": True}
            continue
        while len(buffer) >= chunk_len:
            item = {"raw": buffer[:chunk_len], "stride": (behind, right)}
            yield {**item, "partial": False} if stream else item
            buffer, behind = buffer[chunk_len - left - right :], left
    if len(buffer) > behind:
        item = {"raw": buffer, "stride": (behind, 0)}
        yield {**item, "partial": False} if stream else item


def _output(command: list[str], size: int) -> Iterator[bytes]:
    """What a program writes, in pieces of `size` bytes; it ends when the iterator does."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if process.stdout is None or process.stderr is None:
            raise ProcessorError(f"{command[0]} gives no output.")
        try:
            while piece := process.stdout.read(size):
                yield piece
            message = process.stderr.read().decode(errors="replace").strip()
            if process.wait():
                raise ProcessorError(f"ffmpeg ended with {process.returncode}: {message[-500:]}")
        finally:
            process.kill()


def _program() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        raise MissingPackageError(
            "A microphone is read by the program ffmpeg, which is not on the PATH. Install it, for "
            "instance with: apt install ffmpeg"
        )
    return found


def _sample_format(name: str) -> tuple[int, Any]:
    if name not in SAMPLES:
        raise ProcessorError(f"format_for_conversion={name!r}: use 's16le' or 'f32le'.")
    return SAMPLES[name]
