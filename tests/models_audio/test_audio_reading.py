"""Reading sound from every source, and what is wrong with a file."""

from __future__ import annotations

import io
import stat
import sys
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from dovetail import chunk_bytes_iter, ffmpeg_microphone_live, ffmpeg_read, load_audio, stream_audio
from dovetail.errors import MissingPackageError, ProcessorError

RATE = 16000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    """A sine of half the full scale."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def wav(*channels: np.ndarray, rate: int = RATE) -> bytes:
    """A file of 16 bits per sample."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.stack(channels, axis=1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def encoded(container: str, codec: str, sound: np.ndarray, rate: int = RATE) -> bytes:
    """A file of another format."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        samples = (sound * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return buffer.getvalue()


def test_every_source_gives_the_same(tmp_path: Path) -> None:
    """Path, its string, bytes, an open file."""
    data = wav(tone(0.5))
    path = tmp_path / "tone.wav"
    path.write_bytes(data)
    expected = load_audio(data)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(expected, tone(0.5), atol=1e-4)
    for source in (path, str(path), io.BytesIO(data)):
        np.testing.assert_array_equal(load_audio(source), expected)
    np.testing.assert_array_equal(ffmpeg_read(data, RATE), expected)


FORMATS = [("flac", "flac"), ("matroska", "flac"), ("mp4", "aac")]


@pytest.mark.parametrize(("container", "codec"), FORMATS)
def test_containers(container: str, codec: str) -> None:
    """What FFmpeg knows is read."""
    found = load_audio(encoded(container, codec, tone(1.0)))
    assert abs(len(found) - RATE) <= 2048
    assert 0.3 < np.abs(found[2000:-2000]).max() < 0.6


def test_rates_and_channels() -> None:
    """Sound is brought to the wanted rate, and channels are averaged or kept."""
    data = wav(tone(1.0, 44100), np.zeros(44100), rate=44100)
    mono = load_audio(data)
    assert len(mono) == pytest.approx(RATE, abs=20)
    np.testing.assert_allclose(mono[500:15000], tone(1.0)[500:15000] / 2, atol=5e-3)
    both = load_audio(data, mono=False)
    assert both.shape[0] == 2
    assert np.abs(both[1]).max() < 1e-6
    six = [tone(0.1) * (index == 2) for index in range(6)]
    assert load_audio(wav(*six), mono=False).shape == (6, 1600)


def test_arrays() -> None:
    """Arrays are mixed and resampled too; whole numbers are scaled."""
    assert load_audio(np.zeros((2, 800)), from_rate=8000).shape == (1600,)
    assert load_audio([0.0, 0.5]).tolist() == [0.0, 0.5]
    assert load_audio(np.array([16384, -32768], dtype=np.int16)).tolist() == [0.5, -1.0]
    assert load_audio(np.zeros(5), mono=False).shape == (1, 5)


def test_streams_are_the_same_sound_in_chunks() -> None:
    """All but the last chunk are of the wanted length, and nothing is lost between them."""
    data = wav(tone(2.0, 22050), rate=22050)
    chunks = list(stream_audio(data, chunk_length_s=0.3))
    assert {len(chunk) for chunk in chunks[:-1]} == {4800}
    np.testing.assert_array_equal(np.concatenate(chunks), load_audio(data))
    with pytest.raises(ProcessorError, match="chunk_length_s"):
        stream_audio(data, chunk_length_s=0.0)


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    """Damaged, cut off, silent of all sound, or none at all: a ProcessorError with the cause."""
    flac = encoded("flac", "flac", np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE))
    picture = io.BytesIO()
    with av.open(picture, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5, width=16, height=16, pix_fmt="yuv420p")
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    empty = tmp_path / "empty.wav"
    empty.touch()
    wrong = {
        "cut off": flac[: len(flac) // 2],
        "damaged": b"no sound" * 50,
        "no audio stream; it holds video": picture.getvalue(),
        "no samples": wav(np.zeros(0)),
        "there are no bytes": b"",
        "is empty": empty,
        "not int": 3,
        "NaN": np.array([0.0, np.nan]),
        "transpose": np.zeros((100, 2)),
        "of numbers": ["a"],
    }
    for message, source in wrong.items():
        with pytest.raises(ProcessorError, match=message):
            load_audio(source)
    with pytest.raises(ProcessorError, match="stream_audio"):
        load_audio(wav(tone(2.0)), max_length_s=1.0)
    with pytest.raises(FileNotFoundError):
        load_audio(tmp_path / "absent.wav")


def test_playlists_open_no_other_file(tmp_path: Path) -> None:
    """A file that names files reads none of them."""
    (tmp_path / "secret.wav").write_bytes(wav(tone(1.0)))
    target = tmp_path / "secret.wav"
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n")
    for source in (playlist, f"ffconcat version 1.0\nfile {target}\n".encode()):
        with pytest.raises(ProcessorError):
            load_audio(source)


class Sounds(BaseHTTPRequestHandler):
    """Answers every request with a tone."""

    def do_GET(self) -> None:
        """The tone."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(wav(tone(0.2)))

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server of this process."""
    server = HTTPServer(("127.0.0.1", 0), Sounds)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tone.wav"
    server.shutdown()
    thread.join()
    server.server_close()


def test_urls(url: str) -> None:
    """What a server sends is read as a file is."""
    np.testing.assert_array_equal(load_audio(url), load_audio(wav(tone(0.2))))


def test_chunks_of_bytes_overlap() -> None:
    """Strides are zero at both ends; a stream shows what is under way."""
    pieces = [b"abc", b"def", b"gh"]
    found = [(item["raw"], item["stride"]) for item in chunk_bytes_iter(pieces, 4, (1, 1))]
    assert found == [(b"abcd", (0, 1)), (b"cdef", (1, 1)), (b"efgh", (1, 1)), (b"gh", (1, 0))]
    partial = [item["partial"] for item in chunk_bytes_iter(pieces, 4, (1, 1), stream=True)]
    assert partial == [True, False, False, False, False]
    with pytest.raises(ProcessorError, match="must be smaller"):
        list(chunk_bytes_iter(pieces, 2, (1, 1)))


def test_a_microphone_through_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that writes raw sound stands in for ffmpeg; without one the error says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="apt install ffmpeg"):
        next(ffmpeg_microphone_live(100, 1.0))
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.buffer.write(bytes(4 * 250))\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    items = list(ffmpeg_microphone_live(100, 1.0, stride_length_s=0.2))
    assert [len(item["raw"]) for item in items] == [100, 100, 100, 70]
    assert [item["stride"] for item in items] == [(0, 20), (20, 20), (20, 20), (20, 0)]
    assert items[0]["sampling_rate"] == 100
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such device')\n")
    with pytest.raises(ProcessorError, match="no such device"):
        next(ffmpeg_microphone_live(100, 1.0))
