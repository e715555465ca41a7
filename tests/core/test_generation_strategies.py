"""Strategies that others add: found by name, with arguments of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dovetail import registry
from dovetail.configs import PretrainedConfig
from dovetail.declarations import StrategyDeclaration
from dovetail.errors import GenerationError
from dovetail.generation import GenerationMixin, Strategy, TextStreamer
from dovetail.generation.decoding import Decoding
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import CausalLMOutput


class CountingConfig(PretrainedConfig):
    model_type = "counting"
    vocab_size: int = 20


class Counting(PreTrainedModel, GenerationMixin):
    """Each token is followed by the next higher one."""

    config_class = CountingConfig

    def __init__(self, config: CountingConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, input_ids: Tensor, return_dict: bool = True) -> CausalLMOutput:
        logits = nn.functional.one_hot((input_ids + 1) % 20, 20) * self.scale
        return CausalLMOutput(logits=logits)


class EverySecond(Strategy):
    """Takes the best token's neighbour, `stride` further on."""

    arguments = ("stride",)
    streams = False

    def run(self, decoding: Decoding) -> Any:
        stopped = False
        while not stopped:
            best = decoding.processed(decoding.next_logits()).argmax(-1)
            decoding.append(best + decoding.arguments.get("stride", 1))
            stopped = bool(decoding.stopped().all())
        return decoding.result(decoding.ids.clone())


@pytest.fixture
def every_second() -> Iterator[None]:
    registry.strategies().add(StrategyDeclaration("every_second", EverySecond))  # type: ignore[arg-type]
    yield
    registry.strategies().remove("every_second")


@pytest.fixture
def model() -> Counting:
    return Counting(CountingConfig(bos_token_id=0))


@pytest.mark.usefixtures("every_second")
def test_a_registered_strategy_runs_by_name(model: Counting) -> None:
    prompt = torch.tensor([[1, 2]])
    result = model.generate(prompt, max_new_tokens=3, custom_generate="every_second", stride=2)
    assert result.tolist() == [[1, 2, 5, 8, 11]]
    assert model.generate(prompt, max_new_tokens=3).tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.usefixtures("every_second")
def test_its_arguments_are_unknown_to_others(model: Counting) -> None:
    prompt = torch.tensor([[1, 2]])
    with pytest.raises(GenerationError, match="unknown arguments stride"):
        model.generate(prompt, max_new_tokens=3, stride=2)
    with pytest.raises(GenerationError, match="unknown arguments strid"):
        model.generate(prompt, max_new_tokens=3, custom_generate="every_second", strid=2)
    with pytest.raises(GenerationError, match="EverySecond changes it"):
        model.generate(prompt, custom_generate="every_second", streamer=TextStreamer(None))


def test_built_in_strategies_are_registered() -> None:
    assert set(registry.strategies().names()) >= {
        "beam_sample",
        "beam_search",
        "greedy_search",
        "sample",
    }


def test_tokens_that_a_prefix_allows(model: Counting) -> None:
    def allowed(row: int, tokens: Tensor) -> list[int]:
        return [15 + row, int(tokens[-1]) + 1] if len(tokens) % 2 else [7 + row]

    prompt = torch.tensor([[1], [2]])
    result = model.generate(prompt, max_new_tokens=3, prefix_allowed_tokens_fn=allowed)
    assert result.tolist() == [[1, 2, 7, 8], [2, 3, 8, 9]]
    beams = model.generate(prompt, max_new_tokens=3, prefix_allowed_tokens_fn=allowed, num_beams=2)
    assert beams.tolist() == result.tolist()
    with pytest.raises(GenerationError, match="returned no token for batch index 1"):
        model.generate(
            prompt,
            max_new_tokens=3,
            prefix_allowed_tokens_fn=lambda row, tokens: [] if row else [3],
        )


@pytest.mark.parametrize("beams", [1, 2])
def test_scores_without_a_distribution_are_explained(model: Counting, beams: int) -> None:
    model.scale.data.fill_(float("nan"))
    with pytest.raises(GenerationError, match="the model computes NaN"):
        model.generate(torch.tensor([[1]]), max_new_tokens=3, do_sample=True, num_beams=beams)


def test_a_negative_end_token_is_none(model: Counting) -> None:
    options = {"max_new_tokens": 3, "eos_token_id": -1, "min_new_tokens": 1, "suppress_tokens": []}
    assert model.generate(torch.tensor([[1, 2], [2, 3]]), **options).tolist()[0] == [1, 2, 3, 4, 5]


def test_short_integers_will_do(model: Counting) -> None:
    prompt = torch.tensor([[1, 2]], dtype=torch.int32)
    options = {"max_new_tokens": 2, "repetition_penalty": 1.1}
    assert model.generate(prompt, **options).tolist() == [[1, 2, 3, 4]]


def test_a_text_without_prompt_begins_with_the_begin_token(model: Counting) -> None:
    assert model.generate(max_new_tokens=2).tolist() == [[0, 1, 2]]


def test_processes_that_share_weights_go_on_together(
    model: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []

    def two_more(running: Tensor) -> None:
        passes.append(bool(running))
        running += len(passes) < 6

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", two_more)
    result = model.generate(torch.tensor([[1]]), max_new_tokens=3, synced_gpus=True)
    assert result.tolist() == [[1, 2, 3, 4]]
    assert passes == [True, True, True, False, False, False]
