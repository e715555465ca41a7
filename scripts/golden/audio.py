"""Write what the reference library's audio functions and feature extractors give."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import audio_cases
import numpy as np
import transformers
import transformers.audio_utils
from cases import ROOT, seeded

FOLDER = ROOT / "tests" / "golden" / "audio"
DIGITS = 9


def fingerprints(results: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Name to the fingerprint of each result; of complex numbers, their parts side by side."""
    found = {}
    for name, value in results:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            array = np.stack([array.real, array.imag])
        found[name] = rounded(seeded.fingerprint(array, name))
    return found


def rounded(value: Any) -> Any:
    """Numbers with as many digits as matter."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def produce() -> None:
    """Write both files."""
    library = transformers.audio_utils
    functions = {
        **fingerprints(audio_cases.bank_calls(library)),
        **fingerprints(audio_cases.spectrogram_calls(library, seeded.noise)),
    }
    extractors = fingerprints(audio_cases.extractor_calls(transformers, seeded.noise))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in {"functions": functions, "extractors": extractors}.items():
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
        (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
