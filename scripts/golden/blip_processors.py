"""Golden cases of BLIP's processors: what the reference library makes of pictures and texts."""

from __future__ import annotations

import copy
import json

import transformers
from blip_cases import PROCESSORS, built, call
from cases import ROOT
from image_cases import PICTURES, record

FOLDER = ROOT / "tests" / "golden" / "blip"


def produce() -> None:
    """Write one file for each class."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, described in PROCESSORS.items():
        found = {
            key: {
                field: record(value) if value.is_floating_point() else value.tolist()
                for field, value in call(built(transformers, name), one, PICTURES).items()
            }
            for key, one in copy.deepcopy(described["calls"]).items()
        }
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(one)}" for key, one in found.items())
        (FOLDER / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
