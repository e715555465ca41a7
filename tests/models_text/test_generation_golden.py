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
from torch import Tensor

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


@pytest.mark.parametrize("name", ["llama", "gemma2_narrow", "mamba"])
def test_contrastive_search_is_what_its_definition_says(name: str) -> None:
    model = build(name)
    ids, _ = CALLS.prompts(False, "single")
    options = {"penalty_alpha": 0.6, "top_k": 4, "max_new_tokens": 12, "eos_token_id": None}
    assert torch.equal(model.generate(ids, **options), contrasted(model, ids, 12, 0.6, 4))


@torch.no_grad()
def contrasted(model: Any, text: Tensor, steps: int, alpha: float, count: int) -> Tensor:
    """Each time the candidate whose probability outweighs its likeness to the text."""
    for _ in range(steps):
        likely, tokens = model(text).logits[0, -1].softmax(-1).topk(count)
        values = []
        for probability, token in zip(likely, tokens, strict=True):
            tried = torch.cat((text, token[None, None]), dim=1)
            states = model(tried, output_hidden_states=True).hidden_states[-1][0]
            likeness = torch.cosine_similarity(states[:-1], states[-1:]).max()
            values.append((1 - alpha) * probability - alpha * likeness)
        best = tokens[torch.stack(values).argmax()]
        text = torch.cat((text, best[None, None]), dim=1)
    return text


def test_alternatives_that_begin_alike_are_followed_apart() -> None:
    model = build("llama")
    ids, mask = CALLS.prompts(False)
    alternatives = [[20, 21], [20, 22, 23]]
    texts = model.generate(
        ids,
        attention_mask=mask,
        constraints=[
            dovetail.PhrasalConstraint([60]),
            dovetail.DisjunctiveConstraint(alternatives),
        ],
        num_beams=4,
        max_new_tokens=10,
        repetition_penalty=1.2,
    )
    for text in texts[:, 7:].tolist():
        written = " ".join(map(str, text))
        assert "60" in written.split()
        assert any(" ".join(map(str, phrase)) in written for phrase in alternatives)
