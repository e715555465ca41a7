"""Loops that callers bring along: functions, and code of a folder or repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.decoder import decoder
from tests.core.hub_server import connected
from torch import Tensor

from dovetail.errors import GenerationError, HubError, RemoteCodeError
from dovetail.generation import LogitsProcessorList, StoppingCriteriaList, TextStreamer

PROMPT = torch.tensor([[5, 6, 7]])
CODE = """
import torch
from .helper import PAD

def generate(model, inputs=None, input_ids=None, generation_config=None, left_padding=None, **rest):
    ids = inputs if input_ids is None else input_ids
    if left_padding is not None:
        ids = torch.cat((torch.full((len(ids), left_padding), PAD), ids), dim=-1)
    return model.generate(ids, generation_config=generation_config, **rest)
"""


def greedy(
    model: Any,
    input_ids: Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: Any,
    skipped: int = 0,
    **model_kwargs: Any,
) -> Tensor:
    """Greedy search, or the choice after `skipped` better ones."""
    finished = False
    while not finished:
        inputs = model.prepare_inputs_for_generation(input_ids, **model_kwargs)
        output = model(**inputs, return_dict=True)
        scores = logits_processor(input_ids, output.logits[:, -1])
        token = scores.topk(skipped + 1).indices[:, -1:]
        input_ids = torch.cat((input_ids, token), dim=-1)
        model_kwargs = model._update_model_kwargs_for_generation(output, model_kwargs)
        finished = bool(stopping_criteria(input_ids, None).all())
    return input_ids


@pytest.fixture(scope="module")
def model() -> Any:
    return decoder(eos_token_id=2)


def test_a_function_is_the_loop(model: Any) -> None:
    options = {"max_new_tokens": 6, "repetition_penalty": 1.3}
    plain = model.generate(PROMPT, **options)
    assert model.generate(PROMPT, custom_generate=greedy, **options).equal(plain)
    other = model.generate(PROMPT, custom_generate=greedy, skipped=2, **options)
    assert not other.equal(plain)
    with pytest.raises(GenerationError, match="unknown arguments skiped"):
        model.generate(PROMPT, custom_generate=greedy, skiped=2)


def test_a_function_gets_prepared_arguments(model: Any) -> None:
    seen: dict[str, Any] = {}

    def look(model: Any, input_ids: Tensor, synced_gpus: bool, streamer: Any, **rest: Any) -> str:
        seen.update(rest, ids=input_ids, synced_gpus=synced_gpus, streamer=streamer)
        return "done"

    streamer = TextStreamer.__new__(TextStreamer)
    streamer.put = streamer.end = lambda *_: None  # type: ignore[method-assign]
    result = model.generate(
        PROMPT,
        attention_mask=torch.tensor([[0, 1, 1]]),
        custom_generate=look,
        num_return_sequences=2,
        do_sample=True,
        streamer=streamer,
    )
    assert result == "done"
    assert seen["ids"].tolist() == [[5, 6, 7]] * 2
    assert seen["streamer"] is streamer
    assert seen["synced_gpus"] is False
    assert seen["generation_config"].do_sample
    assert seen["attention_mask"].shape == (2, 3)
    assert {"past_key_values", "cache_position", "logits_processor"} <= seen.keys()


def test_a_function_that_cannot_stream(model: Any) -> None:
    with pytest.raises(GenerationError, match="has no argument streamer"):
        model.generate(PROMPT, custom_generate=greedy, streamer=TextStreamer(None))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    place = tmp_path / "custom_generate"
    place.mkdir()
    (place / "generate.py").write_text(CODE)
    (place / "helper.py").write_text("PAD = 9\n")
    return str(tmp_path)


def test_a_folder_replaces_generate(model: Any, folder: str) -> None:
    options = {"max_new_tokens": 4, "custom_generate": folder, "trust_remote_code": True}
    padded = model.generate(torch.tensor([[9, 9, 5, 6, 7]]), max_new_tokens=4)
    assert model.generate(PROMPT, left_padding=2, **options).equal(padded)
    assert model.generate(input_ids=PROMPT, left_padding=2, **options).equal(padded)


def test_code_runs_with_consent_alone(model: Any, folder: str) -> None:
    for consent in ({}, {"trust_remote_code": False}):
        with pytest.raises(RemoteCodeError, match="trust_remote_code=True"):
            model.generate(PROMPT, custom_generate=folder, **consent)


def test_a_folder_without_code(model: Any, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"generate\.py"):
        model.generate(PROMPT, custom_generate=str(tmp_path), trust_remote_code=True)


def test_arguments_that_the_code_does_not_take(model: Any, folder: str) -> None:
    code = "def generate(model, inputs, count=1):\n    return inputs.repeat(1, count)\n"
    Path(folder, "custom_generate", "generate.py").write_text(code)
    options = {"custom_generate": folder, "trust_remote_code": True}
    assert model.generate(PROMPT, count=2, **options).tolist() == [[5, 6, 7, 5, 6, 7]]
    with pytest.raises(GenerationError, match="takes no cuont: its arguments are count, inputs"):
        model.generate(PROMPT, cuont=2, **options)


def test_a_repository_at_a_revision(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with connected(monkeypatch, tmp_path / "cache") as server:
        files = {"generate.py": CODE.encode(), "helper.py": b"PAD = 9\n"}
        server.add("org/loop", {f"custom_generate/{name}": text for name, text in files.items()})
        with pytest.raises(RemoteCodeError, match="org/loop needs code of its own"):
            model.generate(PROMPT, custom_generate="org/loop")
        found = model.generate(
            PROMPT,
            custom_generate="org/loop",
            trust_remote_code=True,
            left_padding=1,
            max_new_tokens=2,
        )
    assert found.equal(model.generate(torch.tensor([[9, 5, 6, 7]]), max_new_tokens=2))
