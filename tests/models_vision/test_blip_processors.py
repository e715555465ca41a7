"""BLIP's and its successors' processors make of pictures and texts what the reference makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.blip_cases import PROCESSORS, built, call
from golden.image_cases import PICTURES, record
from tests.models_vision.test_image_processors import differences, shade_of

import dovetail
from dovetail.errors import ProcessorError

GOLDEN = Path(__file__).parent.parent / "golden" / "blip"
RESULTS = {name: json.loads((GOLDEN / f"{name}.json").read_text()) for name in PROCESSORS}
CASES = [(name, key) for name, results in RESULTS.items() for key in results]


@pytest.mark.parametrize("use_fast", [False, True], ids=["exact", "fast"])
@pytest.mark.parametrize(("name", "key"), CASES)
def test_results_equal_the_reference(name: str, key: str, use_fast: bool):
    processor = built(dovetail, name, use_fast=use_fast)
    case = PROCESSORS[name]["calls"][key]
    made = call(processor, case, PICTURES)
    expected = RESULTS[name][key]
    assert list(made) == list(expected)
    ours = {
        field: record(value) if value.is_floating_point() else value.tolist()
        for field, value in made.items()
    }
    normalized = case.get("do_normalize", True)
    shade = shade_of(processor.image_processor) if normalized else 1 / 255
    assert differences(ours, expected, shade if use_fast else 0.0) == []


@pytest.mark.parametrize("name", PROCESSORS)
def test_saved_and_loaded(name: str, tmp_path: Path):
    processor = built(dovetail, name)
    processor.save_pretrained(tmp_path)
    loaded = dovetail.AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is type(processor)
    key, case = next(iter(PROCESSORS[name]["calls"].items()))
    ours, again = call(processor, case, PICTURES), call(loaded, case, PICTURES)
    assert list(again) == list(RESULTS[name][key])
    for field, value in ours.items():
        assert np.array_equal(value, again[field]), field


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_cannot_be_is_refused(name: str):
    processor: Any = built(dovetail, name)
    with pytest.raises(ProcessorError, match="got neither"):
        processor()
    with pytest.raises((ProcessorError, TypeError), match="audio"):
        processor(text="one", audio=[0.0])


def asking(name: str = "InstructBlipProcessor", **changes: Any) -> Any:
    return built(dovetail, name, changes)


def test_pictures_stand_where_the_text_says():
    processor = asking()
    token = processor.tokenizer.convert_tokens_to_ids("<image>")
    picture = PICTURES["wide"]()
    texts = ["compare <image> with <image>", "describe <image>"]
    made = processor(images=[picture] * 3, text=texts, padding=True)
    places = [[number == token for number in row] for row in made["input_ids"]]
    assert [sum(row) for row in places] == [6, 3]
    assert not places[0][0]
    read = processor.qformer_tokenizer(["compare with", "compare with", "describe"], padding=True)
    assert made["qformer_input_ids"] == read["input_ids"]
    for images, text in (([picture], texts), ([picture] * 2, "one"), ([picture], ["one", "two"])):
        with pytest.raises(ProcessorError, match="images: "):
            processor(images=images, text=text)


def test_pictures_may_be_grouped_by_text():
    processor, picture = asking(), PICTURES["wide"]()
    texts = ["compare <image> with <image>", "describe <image>"]
    flat = processor(images=[picture] * 3, text=texts, padding=True)
    made = processor(images=[[picture] * 2, [picture]], text=texts, padding=True)
    assert made["input_ids"] == flat["input_ids"]
    with pytest.raises(ProcessorError, match="give each text those"):
        processor(images=[[picture], [picture] * 2], text=texts)


def test_without_a_number_of_queries_texts_stay():
    for name in ("Blip2Processor", "InstructBlipProcessor"):
        processor = asking(name, num_query_tokens=None)
        made = processor(images=PICTURES["wide"](), text="one two")
        assert made["input_ids"] == processor.tokenizer(["one two"])["input_ids"]
        assert "num_query_tokens" not in processor.to_dict()


def test_videos_take_places_for_each_frame():
    processor = asking("InstructBlipVideoProcessor")
    token = processor.tokenizer.convert_tokens_to_ids("<video>")
    frames = [PICTURES["wide"]()] * 2
    made = processor(images=frames, text="one", return_tensors="pt")
    assert tuple(made["pixel_values"].shape) == (1, 2, 3, 40, 40)
    assert int((made["input_ids"] == token).sum()) == 6
    clip = np.stack([np.asarray(frame) for frame in frames])
    for videos in (clip, [clip], clip[None]):
        other = processor(images=videos, text="one", return_tensors="pt")
        assert other["pixel_values"].equal(made["pixel_values"])
    assert len(processor(images=frames)["pixel_values"]) == 1


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ([], "is no video|some"),
        ([[]], "each needs some"),
        ("clip.mp4", "str is no video"),
        ([["wide"], ["wide", "wide"]], r"videos of \[1, 2\] frames"),
    ],
)
def test_what_is_no_video_is_refused(videos: Any, message: str):
    processor = asking("InstructBlipVideoProcessor").image_processor
    if isinstance(videos, list):
        videos = [[PICTURES[name]() for name in video] for video in videos]
    with pytest.raises(ProcessorError, match=message):
        processor(videos)
