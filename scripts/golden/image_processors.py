"""Golden cases of image processors: what the reference library makes of small pictures."""

from __future__ import annotations

import json
from typing import Any

import transformers
from cases import ROOT
from image_cases import SETTINGS, after, call, call_after, cases, record

FOLDER = ROOT / "tests" / "golden" / "images"


def produce() -> None:
    """Write one file for each class: its defaults and its results."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = [
        {**case, "result": record(call_after(getattr(transformers, case["class"])(), case))}
        for case in after()
    ]
    write("after", found)
    for name in SETTINGS:
        made = getattr(transformers, name)
        results = [
            {**case, "result": record(whole_masks(call(made(**case["settings"]), case)))}
            for case in cases()
            if case["class"] == name
        ]
        saved = json.loads(made().to_json_string())
        for key in ("_valid_processor_keys", "_processor_class"):
            saved.pop(key, None)
        write(name, {"saved": saved, "cases": results})


def whole_masks(result: Any) -> Any:
    """The result, whose masks the library makes floats where a text has fewer pictures."""
    if "pixel_attention_mask" in result:
        result["pixel_attention_mask"] = result["pixel_attention_mask"].astype("int64")
    return result


def write(name: str, content: Any) -> None:
    """Write a file with a line for each case."""
    lines = json.dumps(content, sort_keys=True)
    for start in ('{"annotated"', '{"arguments"'):
        lines = lines.replace(start, f"\n{start}")
    (FOLDER / f"{name}.json").write_text(lines + "\n")
