"""The task on sounds: results of the reference for the same checkpoint, kinds of input, errors."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dovetail
from dovetail import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification
from dovetail.cli import execute
from dovetail.errors import PipelineError, ProcessorError
from dovetail.testing import seeded
from dovetail.testing.subject import fill

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "patch_size": 4,
    "frequency_stride": 3,
    "time_stride": 2,
    "max_length": 40,
    "num_mel_bins": 16,
    "num_labels": 7,
}
SOUND = seeded.noise("sound", (9000,)).astype(np.float32) * np.float32(0.1)
FIVE = {
    "LABEL_0": 0.6563048959,
    "LABEL_4": 0.1050113514,
    "LABEL_2": 0.0670646504,
    "LABEL_5": 0.0578072891,
    "LABEL_6": 0.0529570132,
}
RECORDED: list[tuple[dict[str, Any], dict[str, float]]] = [
    ({}, FIVE),
    ({"top_k": None}, FIVE),
    ({"top_k": 50}, FIVE | {"LABEL_3": 0.0493505150, "LABEL_1": 0.0115042599}),
    (
        {"top_k": 2, "function_to_apply": "sigmoid"},
        {"LABEL_0": 0.9158318639, "LABEL_4": 0.6351698041},
    ),
    ({"top_k": 2, "function_to_apply": "none"}, {"LABEL_0": 2.3870172501, "LABEL_4": 0.5544602871}),
]
"""Arguments, and what transformers 4.46.3 returns for the same checkpoint and sound."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ast")
    model = ASTForAudioClassification(ASTConfig(**SIZES))
    fill(model)
    model.save_pretrained(folder)
    ASTFeatureExtractor(max_length=40, num_mel_bins=16).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pipe(checkpoint: str) -> Any:
    return dovetail.pipeline("audio-classification", checkpoint)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sounds") / "sound.wav"
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes((SOUND * 32767).astype("<i2").tobytes())
    return str(file)


@pytest.mark.parametrize(("arguments", "expected"), RECORDED)
def test_results_equal_the_reference(
    pipe: Any, arguments: dict[str, Any], expected: dict[str, float]
):
    result = pipe(SOUND, **arguments)
    assert [list(one) for one in result] == [["score", "label"]] * len(expected)
    scores = {one["label"]: one["score"] for one in result}
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_every_kind_of_sound_gives_the_same_result(pipe: Any, path: str):
    expected = {one["label"]: pytest.approx(one["score"], abs=5e-3) for one in pipe(SOUND)}
    kinds: list[Any] = [
        path,
        Path(path).read_bytes(),
        np.stack([SOUND, SOUND]),
        {"array": SOUND, "sampling_rate": 16000},
        {"raw": SOUND, "sampling_rate": 16000},
    ]
    for batch_size in (1, 2):
        results = pipe(kinds, batch_size=batch_size)
        assert [{one["label"]: one["score"] for one in r} for r in results] == [expected] * 5


def test_another_rate_is_resampled(pipe: Any):
    resampled = dovetail.resample(SOUND, 8000, 16000)
    assert pipe({"array": SOUND, "sampling_rate": 8000}) == pipe(resampled)


@pytest.mark.parametrize(
    ("sound", "arguments", "message"),
    [
        (SOUND, {"top_k": 0}, "top_k=0"),
        (SOUND, {"function_to_apply": "relu"}, "'relu' is none of"),
        ({"array": SOUND}, {}, "needs 'array' .* and 'sampling_rate'"),
        (SOUND[:0], {}, r"this one is \(0,\)"),
        (SOUND * np.float32(np.nan), {}, "NaN"),
        (b"RIFF", {}, "cannot be read as sound"),
    ],
)
def test_what_cannot_be_heard_is_refused(
    pipe: Any, sound: Any, arguments: dict[str, Any], message: str
):
    with pytest.raises((PipelineError, ProcessorError), match=message):
        pipe(sound, **arguments)


def test_the_command_line_names_the_labels(
    checkpoint: str, path: str, capsys: pytest.CaptureFixture[str]
):
    assert execute(["run", "audio-classification", path, "--model", checkpoint]) == 0
    assert "LABEL_0" in capsys.readouterr().out
