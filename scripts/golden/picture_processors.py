"""Golden cases of processors of pictures with texts: what the reference library makes of both."""

from __future__ import annotations

import copy
import json

import transformers
from cases import ROOT
from image_cases import PICTURES, record
from image_processors import whole_masks
from picture_cases import PROCESSORS, brief, build, call

FOLDER = ROOT / "tests" / "golden" / "processors"


def produce() -> None:
    """Write one file for each class."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    transformers.LlavaNextVideoProcessor.tokenizer_class = "AutoTokenizer"  # any will do
    for name, described in PROCESSORS.items():
        processor = build(transformers, name)
        found = [
            {
                "call": one,
                "result": brief(whole_masks(call(processor, copy.deepcopy(one), PICTURES)), record),
            }
            for one in described["calls"]
        ]
        text = json.dumps(found).replace('{"call"', '\n{"call"')
        (FOLDER / f"{name}.json").write_text(text + "\n")
