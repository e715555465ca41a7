"""The task on videos: results of the reference for the same checkpoint, kinds of input, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.models_vision.films import film, shades

import dovetail
from dovetail.cli import execute
from dovetail.errors import PipelineError, ProcessorError
from dovetail.testing.golden import Golden

GOLDEN = Path(__file__).parents[1] / "golden" / "models-vision" / "videomae"
FRAMES = shades(12)
SETTINGS = {
    "image_processor_type": "VideoMAEImageProcessor",
    "size": {"shortest_edge": 16},
    "crop_size": {"height": 16, "width": 16},
}
LIKELY = {"LABEL_0": 0.6727694869, "LABEL_2": 0.2897245288, "LABEL_1": 0.0375060514}
RECORDED: list[tuple[dict[str, Any], dict[str, float]]] = [
    ({}, LIKELY),
    ({"frame_sampling_rate": 3, "top_k": 2}, {"LABEL_2": 0.6278757453, "LABEL_0": 0.3357193172}),
    ({"top_k": 1, "function_to_apply": "sigmoid"}, {"LABEL_0": 0.6184329391}),
    (
        {"frame_sampling_rate": 2, "function_to_apply": "none"},
        {"LABEL_0": 0.2835841179, "LABEL_2": 0.1316819787, "LABEL_1": -2.5356326103},
    ),
    ({"num_frames": 4, "top_k": 1}, {"LABEL_0": 0.6727694869}),
]
"""Arguments, and what transformers 4.46.3 returns for the same checkpoint and file."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("videomae")
    Golden.read(GOLDEN / "VideoMAEForVideoClassification.json").write_checkpoint(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SETTINGS))
    return str(folder)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return film(tmp_path_factory.mktemp("films") / "film.mkv", FRAMES)


@pytest.fixture(scope="module")
def pipe(checkpoint: str) -> Any:
    exact = (checkpoint, {"use_fast": False})
    return dovetail.pipeline("video-classification", checkpoint, image_processor=exact)


@pytest.mark.parametrize(("arguments", "expected"), RECORDED)
def test_results_equal_the_reference(
    pipe: Any, path: str, arguments: dict[str, Any], expected: dict[str, float]
):
    result = pipe(path, **arguments)
    assert [list(one) for one in result] == [["score", "label"]] * len(expected)
    scores = {one["label"]: one["score"] for one in result}
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_every_kind_of_video_gives_the_same_result(pipe: Any, path: str):
    expected = pipe(path)
    images = [Image.fromarray(frame) for frame in FRAMES]
    for given in (Path(path).read_bytes(), FRAMES, tuple(images)):
        assert pipe(given) == expected
    assert pipe(videos=path) == expected
    assert pipe([path, FRAMES, images]) == [expected] * 3
    assert list(pipe(one for one in (path, path))) == [expected] * 2
    batched = pipe([path, FRAMES], batch_size=2)
    assert [one["label"] for one in batched[1]] == [one["label"] for one in expected]


def test_half_precision_reaches_the_frames(checkpoint: str, path: str):
    pipe = dovetail.pipeline("video-classification", checkpoint, torch_dtype="bfloat16")
    scores = {one["label"]: one["score"] for one in pipe(path)}
    assert scores == pytest.approx(LIKELY, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame_sampling_rate": 4}, r"film\.mkv.*the frames 0 to 11"),
        ({"num_frames": 0}, "num_frames=0 must be a positive whole number"),
        ({"frame_sampling_rate": 1.5}, "frame_sampling_rate=1.5 must be a positive"),
        ({"top_k": 0}, "top_k=0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    pipe: Any, path: str, arguments: dict[str, Any], message: str
):
    with pytest.raises((PipelineError, ProcessorError, ValueError), match=message):
        pipe(path, **arguments)


def test_what_is_no_video_is_named(pipe: Any, tmp_path: Path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(ProcessorError, match=r"broken\.mp4"):
        pipe(str(broken))
    with pytest.raises(PipelineError, match="needs a video"):
        pipe()
    with pytest.raises(PipelineError, match=r"has 3 frames, .* number 3"):
        pipe(FRAMES[:3])


def test_the_command_line_draws_the_labels(
    checkpoint: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    drawn = tmp_path / "labels.png"
    code = execute(
        ["run", "video-classification", path, "--model", checkpoint, "--save", str(drawn)]
    )
    assert code == 0
    assert "LABEL_0" in capsys.readouterr().out
    with Image.open(drawn) as picture:
        assert picture.width == 24
        assert picture.height > 20
