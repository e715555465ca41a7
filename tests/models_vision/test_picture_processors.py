"""Processors of pictures with texts make of both what the reference library makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden.image_cases import PICTURES, record
from golden.picture_cases import PROCESSORS, brief, build, call
from tests.models_vision.test_image_processors import differences, shade_of

import dovetail
from dovetail.errors import ProcessorError

GOLDEN = Path(__file__).parent.parent / "golden" / "processors"
CASES = [
    (name, case)
    for name in PROCESSORS
    for case in json.loads((GOLDEN / f"{name}.json").read_text())
]


def built(name: str, **settings: Any) -> Any:
    """The processor that the recorded calls are of."""
    return build(dovetail, name, **settings)


def test_every_recorded_case_is_described():
    for name, described in PROCESSORS.items():
        assert described["calls"] == [case["call"] for of, case in CASES if of == name]


@pytest.mark.parametrize("use_fast", [False, True], ids=["exact", "fast"])
@pytest.mark.parametrize(("name", "case"), CASES)
def test_results_equal_the_reference(name: str, case: dict[str, Any], use_fast: bool):
    processor = built(name, use_fast=use_fast)
    made = call(processor, case["call"], PICTURES)
    shade = shade_of(processor.image_processor) if use_fast else 0.0
    assert differences(brief(made, record), case["result"], shade) == []


@pytest.mark.parametrize("name", PROCESSORS)
def test_saved_and_loaded(name: str, tmp_path: Path):
    processor = built(name)
    processor.chat_template = "{{ messages }}"
    processor.save_pretrained(tmp_path)
    loaded = dovetail.AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is type(processor)
    assert loaded.chat_template == processor.chat_template
    for part in set(processor.attributes) - {"tokenizer"}:
        assert getattr(loaded, part).to_dict() == getattr(processor, part).to_dict()
    case = PROCESSORS[name]["calls"][0]
    again, first = (call(one, case, PICTURES)["input_ids"] for one in (loaded, processor))
    assert again.tolist() == first.tolist()


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_wrong_number_of_pictures_is_refused(name: str):
    case = PROCESSORS[name]["calls"][0]
    for images in ([], case["images"] * 2):
        with pytest.raises(ProcessorError, match="image"):
            call(built(name), {**case, "images": images}, PICTURES)
