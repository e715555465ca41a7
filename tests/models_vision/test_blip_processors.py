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
    with pytest.raises(ProcessorError, match="audio"):
        processor(text="one", audio=[0.0])
