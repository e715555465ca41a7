"""The audio functions and the feature extractors give what the reference library gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import audio_cases

import dovetail
from dovetail.testing import seeded

GOLDEN = Path(__file__).parents[1] / "golden" / "audio"
TOLERANCE = 1e-5

pytestmark = [
    pytest.mark.filterwarnings("ignore:Some of .* mel filters"),
]


def compare(file: str, results: Iterable[tuple[str, Any]]) -> None:
    """Every result is in the file, with the same fingerprint, and the file has no other."""
    expected = json.loads((GOLDEN / file).read_text())
    seen = set()
    for name, value in results:
        seen.add(name)
        array = np.asarray(value)
        if np.iscomplexobj(array):
            array = np.stack([array.real, array.imag])
        found, golden = seeded.fingerprint(array, name), expected[name]
        assert found.pop("shape") == golden.pop("shape"), name
        for key, number in golden.items():
            np.testing.assert_allclose(
                found[key], number, rtol=TOLERANCE, atol=TOLERANCE, err_msg=f"{name}: {key}"
            )
    assert seen == set(expected)


def test_the_functions_equal_the_reference() -> None:
    """Banks, windows, spectrograms with every option, decibels."""
    calls = chain(
        audio_cases.bank_calls(dovetail), audio_cases.spectrogram_calls(dovetail, seeded.noise)
    )
    compare("functions.json", calls)


def test_the_extractors_equal_the_reference() -> None:
    """Every output of every extractor on synthetic sound, batched, padded, cut."""
    compare("extractors.json", audio_cases.extractor_calls(dovetail, seeded.noise))
