"""The public names for generation: all there, with the field's constructors."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import dovetail
from dovetail import generation
from dovetail.errors import GenerationError
from dovetail.generation import (
    AlternatingCodebooksLogitsProcessor,
    GenerationConfig,
    WhisperTimeStampLogitsProcessor,
)

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden/generation/names.json").read_text()
)
KINDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@pytest.mark.parametrize("name", GOLDEN["signatures"])
def test_constructors_take_the_fields_arguments(name: str) -> None:
    kind = getattr(generation, name)
    assert getattr(dovetail, name) is kind
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    named = [entry for entry in parameters if entry.kind not in KINDS]
    expected = [argument for argument, _ in GOLDEN["signatures"][name]]
    assert [entry.name for entry in named[: len(expected)]] == expected
    assert all(entry.default is not entry.empty for entry in named[len(expected) :])
    for entry, (_, default) in zip(named, GOLDEN["signatures"][name], strict=False):
        found = None if entry.default is entry.empty else repr(entry.default)
        assert found == default, entry.name


@pytest.mark.parametrize("case", GOLDEN["transcripts"])
def test_time_stamps(case: dict[str, Any]) -> None:
    config = GenerationConfig(**case["settings"])
    processor = WhisperTimeStampLogitsProcessor(config, **case["arguments"])
    scores = torch.tensor([case["scores"]])
    found = processor(torch.tensor([case["ids"]]), scores)
    assert found[0].isneginf().nonzero().flatten().tolist() == case["forbidden"]
    assert found[found.isfinite()].equal(scores[found.isfinite()])


@pytest.mark.parametrize("case", GOLDEN["codebooks"])
def test_codebooks_take_turns(case: dict[str, Any]) -> None:
    processor = AlternatingCodebooksLogitsProcessor(**case["arguments"])
    found = processor(torch.zeros(1, case["length"], dtype=torch.long), torch.zeros(1, 24))
    assert found[0].isneginf().nonzero().flatten().tolist() == case["forbidden"]


def test_settings_without_time_stamps() -> None:
    with pytest.raises(GenerationError, match="no no_timestamps_token_id"):
        WhisperTimeStampLogitsProcessor(GenerationConfig())
    with pytest.raises(GenerationError, match="input_start_len=-1"):
        AlternatingCodebooksLogitsProcessor(-1, 10, 5)


def test_the_prompt_may_grow() -> None:
    config = GenerationConfig(no_timestamps_token_id=4, eos_token_id=2)
    processor = WhisperTimeStampLogitsProcessor(config, begin_index=1)
    processor.set_begin_index(3)
    found = processor(torch.tensor([[7, 6, 8]]), torch.zeros(1, 9))
    assert found[0].isfinite().nonzero().flatten().tolist() == [5, 6, 7, 8]
