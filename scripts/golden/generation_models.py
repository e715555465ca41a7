"""Writes what the reference library's ``generate`` does with whole models: one file for each of
`generation_calls.MODELS`, one line for each call of `generation_cases`.

Runs in the reference library's environment: ``python scripts/golden/generation_models.py [MODEL]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers
from generation import ROOT, seeded
from generation_calls import MODELS, Calls
from generation_cases import cases, for_the_reference
from record import rounded


def lines(calls: Calls, name: str) -> list[str]:
    """What every call gives, as JSON."""
    model = calls.build(name)
    made = []
    for case, options in cases(name).items():
        found = calls.outcome(model, for_the_reference(name, options))
        made.append(json.dumps({"case": case, "options": options, **rounded(found)}))
    return made


def main(folder: Path, names: list[str]) -> None:
    """Write the files of the models `names`, or of all."""
    transformers.logging.set_verbosity_error()
    calls = Calls(transformers, seeded)
    versions = (
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or MODELS:
        text = ",\n".join(lines(calls, name))
        text = f'{{"reference": "{versions}", "cases": [\n{text}\n]}}\n'
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(ROOT / "tests/golden/generation/models", sys.argv[1:])
