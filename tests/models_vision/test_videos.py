"""Videos: reading frames, forms, and the pictures in messages."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tests.models_vision.films import film, shades

from dovetail.errors import ProcessorError
from dovetail_models_vision.videos import loading
from dovetail_models_vision.videos.formats import is_valid_video, list_of_videos
from dovetail_models_vision.videos.loading import load_video
from dovetail_models_vision.vision_language.chats import pictures_in

FRAMES = shades(12)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return film(tmp_path_factory.mktemp("films") / "film.mkv", FRAMES)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def address(path: str) -> Iterator[str]:
    handler = partial(Quiet, directory=str(Path(path).parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{Path(path).name}"
    server.shutdown()
    server.server_close()


def test_all_frames_are_read_as_they_are(path: str, address: str):
    content = Path(path).read_bytes()
    for source in (path, Path(path), content, io.BytesIO(content), address):
        assert np.array_equal(load_video(source), FRAMES)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"num_frames": 12}, list(range(12))),
        ({"num_frames": 5}, [0, 2, 4, 7, 9]),
        ({"num_frames": 1}, [0]),
        ({"fps": 10}, list(range(12))),
        ({"fps": 2.5}, [0, 4, 8]),
        ({"fps": 0.1}, [0]),
        ({"indices": [3, -1, 3, 0]}, [3, 11, 3, 0]),
        ({"indices": np.array([1, 2])}, [1, 2]),
    ],
)
def test_frames_are_chosen(path: str, choice: dict[str, Any], expected: list[int]):
    assert np.array_equal(load_video(path, **choice), FRAMES[expected])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"num_frames": 13}, "num_frames=13, and the video has 12 frames"),
        ({"num_frames": 0}, "num_frames=0 must be a positive number"),
        ({"fps": 11}, "fps=11, and the video has 10 frames in a second"),
        ({"fps": float("nan")}, "fps=nan must be a positive number"),
        ({"indices": [0, 12]}, r"indices=\[12\], and the video has the frames 0 to 11"),
        ({"indices": []}, "Ask for one or more"),
        ({"num_frames": 2, "fps": 1}, "num_frames and fps both choose frames"),
    ],
)
def test_frames_that_are_not_there_are_refused(path: str, choice: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        load_video(path, **choice)


def test_limits_are_kept(path: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ProcessorError, match="24 x 20 pixels are more than the limit of 100"):
        load_video(path, max_pixels=100)
    with pytest.raises(ProcessorError, match="3 frames of 24 x 20 pixels take more than 4000"):
        load_video(path, max_memory=4000)
    assert len(load_video(path, num_frames=2, max_memory=4000)) == 2
    monkeypatch.setattr(loading, "MAX_FRAMES", 5)
    with pytest.raises(ProcessorError, match=r"film\.mkv.*more than 5 frames"):
        load_video(path)


def test_broken_files_are_named(path: str, tmp_path: Path):
    content = Path(path).read_bytes()
    for name, part in (
        ("empty.mkv", b""),
        ("head.mkv", content[:60]),
        ("text.mp4", b"no video at all " * 100),
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(ProcessorError, match=name):
            load_video(tmp_path / name)
    with pytest.raises(ProcessorError, match=r"gone\.mkv.*no such video file"):
        load_video(tmp_path / "gone.mkv")
    with pytest.raises(ProcessorError, match="a int cannot be read"):
        load_video(3)  # type: ignore[arg-type]


def test_a_file_cut_short_does_not_lie(path: str, tmp_path: Path):
    content = Path(path).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) // 2])
    for choice in ({}, {"num_frames": 3}, {"fps": 5}):
        with pytest.raises(ProcessorError, match=r"cut\.mkv.*has 12 frames, and \d can be read"):
            load_video(cut, **choice)
    assert np.array_equal(load_video(cut, indices=[1, 2]), FRAMES[1:3])


def test_a_file_without_video_is_named(tmp_path: Path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode())
    with pytest.raises(ProcessorError, match=r"sound\.wav"):
        load_video(path)


def test_a_video_without_frames_is_named(tmp_path: Path):
    path = tmp_path / "nothing.mkv"
    film(path, FRAMES[:0])
    with pytest.raises(ProcessorError, match=r"nothing\.mkv"):
        load_video(path)


def test_playlists_cannot_open_other_files(path: str, tmp_path: Path):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:10.0,\n{path}\n#EXT-X-ENDLIST\n")
    script = tmp_path / "list.ffconcat"
    script.write_text(f"ffconcat version 1.0\nfile '{path}'\n")
    for file in (playlist, script):
        with pytest.raises(ProcessorError, match=file.name):
            load_video(file)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [((0, 1, -1, 0), (0, -1)), ((0, -1, 1, 0), (-1, 0)), ((-1, 0, 0, -1), (-1, -1))],
    ids=["clockwise", "counterclockwise", "upside-down"],
)
def test_frames_stand_upright(matrix: tuple[int, ...], corner: tuple[int, int], tmp_path: Path):
    path = tmp_path / "phone.mp4"
    dark = np.zeros((2, 32, 48, 3), np.uint8)
    dark[:, :16, :16] = 255
    film(path, dark, codec="mpeg4", pixels="yuv420p")
    content = path.read_bytes()
    header = content.index(b"tkhd")  # it holds how the frames are to be shown
    place = content.index(display(1, 0, 0, 1), header)
    frames = load_video(content[:place] + display(*matrix) + content[place + 36 :])
    assert frames.shape == ((2, 32, 48, 3) if matrix[0] else (2, 48, 32, 3))
    light = frames[0, corner[0], corner[1]]
    assert light.min() > 200
    assert frames[0].mean() < 100


def display(a: int, b: int, c: int, d: int) -> bytes:
    """The matrix of an MP4 file by which a frame is turned."""
    return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


def test_videos_of_all_forms_become_lists_of_frames():
    images = [Image.fromarray(frame) for frame in FRAMES[:2]]
    moving = torch.from_numpy(FRAMES[:3]).permute(0, 3, 1, 2)
    for videos, lengths in (
        (images, [2]),
        ([images, images], [2, 2]),
        (FRAMES, [12]),
        (moving, [3]),
        (FRAMES[None], [12]),
        ([FRAMES, images], [12, 2]),
        (images[0], [1]),
    ):
        assert [len(frames) for frames in list_of_videos(videos)] == lengths
    assert is_valid_video(images)
    assert is_valid_video(FRAMES)
    assert not is_valid_video([images])
    assert not is_valid_video(FRAMES[0])


@pytest.mark.parametrize("videos", [[], [[]], [FRAMES, []], 3, "film.mp4", [3], None])
def test_what_is_no_video_is_refused(videos: Any):
    with pytest.raises(ProcessorError, match=r"video|image"):
        list_of_videos(videos)


def test_messages_name_their_pictures(path: str, tmp_path: Path):
    still = tmp_path / "still.png"
    Image.fromarray(FRAMES[0]).save(still)
    chat = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image", "path": str(still)},
                {"type": "video", "video": list(FRAMES[:2])},
                {"type": "text", "text": "What is this?"},
                {"type": "video", "path": path},
                {"type": "image", "image": Image.fromarray(FRAMES[1])},
            ],
        },
    ]
    images, videos = pictures_in(chat, num_frames=4)
    assert [np.asarray(image)[0, 0].tolist() for image in images] == FRAMES[:2, 0, 0].tolist()
    assert [len(video) for video in videos] == [2, 4]
    assert len(pictures_in([chat, chat])[0]) == 4


@pytest.mark.parametrize(
    ("chat", "message"),
    [
        ([{"role": "user", "content": [{"type": "image"}]}], "none of the keys 'image', 'url'"),
        ([{"role": "user", "content": ["text"]}], "hold objects with a type"),
        (["hello"], "a message is an object with role and content"),
        ([{"content": [{"type": "image", "path": "gone.png"}]}], "gone.png"),
    ],
)
def test_messages_without_their_pictures_are_refused(chat: Any, message: str):
    with pytest.raises(ProcessorError, match=message):
        pictures_in(chat)
