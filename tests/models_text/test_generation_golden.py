"""``generate`` with whole models, call by call, against what the reference computed.

`scripts/golden/generation_cases.py` describes the calls, and what the reference gets wrong; there
and in general beams are held against their definition.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from golden.generation_calls import MODELS, Calls

import dovetail
from dovetail.testing import seeded

GOLDEN = Path(__file__).parents[1] / "golden/generation/models"
CALLS = Calls(dovetail, seeded)
CASES = {
    f"{name}-{case['case']}": (name, case)
    for name in MODELS
    for case in json.loads((GOLDEN / f"{name}.json").read_text())["cases"]
}


@cache
def build(name: str) -> Any:
    return CALLS.build(name)


@pytest.mark.parametrize(("name", "case"), CASES.values(), ids=CASES)
def test_a_call_gives_what_the_reference_gives(name: str, case: dict[str, Any]) -> None:
    found = CALLS.outcome(build(name), case["options"])
    for key in case.keys() - {"case", "options"}:
        close(found[key], case[key], key)


def close(found: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            close(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, float) or (isinstance(wanted, list) and any_float(wanted)):
        assert found == pytest.approx(wanted, abs=1e-4, rel=1e-4), where
    else:
        assert found == wanted, where


def any_float(values: list[Any]) -> bool:
    return any(isinstance(value, float) for value in values)


def counts_beams(options: dict[str, Any]) -> bool:
    """Whether scores can be recomputed: of several end tokens the first one is written for all."""
    ends = options.get("eos_token_id")
    return options.get("num_beams", 1) > 1 and not isinstance(ends, list)


BEAMS = {key: value for key, value in CASES.items() if counts_beams(value[1]["options"])}


@pytest.mark.parametrize(("name", "case"), BEAMS.values(), ids=BEAMS)
def test_scores_of_texts_are_those_of_their_steps(name: str, case: dict[str, Any]) -> None:
    model = build(name)
    options = {key: value for key, value in case["options"].items() if key != "unrecorded"}
    torch.manual_seed(options.pop("seed", 5))
    options |= {"return_dict_in_generate": True, "output_scores": True}
    result = model.generate(**CALLS.arguments(model, options))
    steps = model.compute_transition_scores(result.sequences, result.scores, result.beam_indices)
    lengths = (result.beam_indices >= 0).sum(dim=-1)
    expected = steps.sum(dim=-1) / lengths ** options.get("length_penalty", 1.0)
    assert result.sequences_scores.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
