"""Requests come, share passes and pages, and go: nothing is lost, mixed up or left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.core.decoder import DecoderForSequenceClassification, decoder

from dovetail.errors import GenerationError
from dovetail.generation import (
    ContinuousBatchingConfig,
    ContinuousBatchingManager,
    GenerationConfig,
    LogitsProcessor,
    RequestStatus,
    WorkloadHints,
)
from dovetail.generation.continuous.requests import Request
from dovetail.generation.continuous.scheduler import Scheduler, Work

NEW = 6
PROMPTS = [[3, 4, 5], [7], [9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3], [1, 2], [30, 31, 32, 33, 34]]
TIGHT = {"page_size": 2, "num_blocks": 12, "max_batch_tokens": 4, "safety_margin": 0.0}
PATIENCE = 120  # seconds, for what takes milliseconds


@pytest.fixture(scope="module")
def model() -> Any:
    return decoder()


@pytest.fixture(scope="module")
def expected(model: Any) -> list[list[int]]:
    return [greedy(model, prompt, NEW) for prompt in PROMPTS]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert "continuous-batching" not in names


@torch.no_grad()
def greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    """The best continuation, computed without any cache."""
    ids = torch.tensor([prompt])
    for _ in range(count):
        ids = torch.cat((ids, model(ids, use_cache=False).logits[:, -1:].argmax(-1)), 1)
    return ids[0, len(prompt) :].tolist()


def settings(**given: Any) -> GenerationConfig:
    return GenerationConfig(**{"max_new_tokens": NEW, "do_sample": False} | given)


def manager(model: Any, batching: dict[str, Any] | None = None, **given: Any) -> Any:
    """A manager within a ``with`` block."""
    options = ContinuousBatchingConfig(**{"page_size": 4, "num_blocks": 32} | (batching or {}))
    return model.continuous_batching_context_manager(
        settings(**given), continuous_batching_config=options
    )


def free_pages(served: ContinuousBatchingManager) -> int:
    return served.cache.pool.free


class Fails(LogitsProcessor):
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape[1] > 4:
            raise RuntimeError("no more than four")
        return scores


class Slow(LogitsProcessor):
    """Lets a text take its time, until it is told to hurry."""

    def __init__(self) -> None:
        self.begun, self.hurry = threading.Event(), threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.begun.set()
        self.hurry.wait(0.05)
        return scores


@pytest.mark.parametrize(
    "options",
    [
        {},
        TIGHT,
        TIGHT | {"scheduler_type": "prefill_first"},
        {"page_size": 1, "max_requests_per_batch": 2},
        {"block_size": 3, "num_blocks": 6, "max_batch_tokens": 100},
    ],
)
def test_texts_are_those_that_each_prompt_has_alone(
    model: Any, expected: list[list[int]], options: dict[str, Any]
):
    outputs = model.generate_batch(
        PROMPTS, settings(), continuous_batching_config=ContinuousBatchingConfig(**options)
    )
    assert list(outputs) == [f"req_{n}" for n in range(len(PROMPTS))]
    assert [output.generated_tokens for output in outputs.values()] == expected
    assert [output.prompt_ids for output in outputs.values()] == PROMPTS
    assert all(output.is_finished() and output.error is None for output in outputs.values())


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("batching", [{}, TIGHT | {"num_blocks": 60, "max_batch_tokens": 7}])
def test_a_common_beginning_is_read_once(
    model: Any, shares: bool, batching: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    beginning = [(7 * i) % 31 + 1 for i in range(20)]
    prompts = [[*beginning, 3], [*beginning, 3, 4, 5], [5, *beginning], beginning]
    read: list[int] = []
    plan = Scheduler.plan

    def noted(self: Scheduler) -> tuple[list[Work], Request | None]:
        works, stuck = plan(self)
        read.extend(work.count for work in works)
        return works, stuck

    monkeypatch.setattr(Scheduler, "plan", noted)
    outputs = model.generate_batch(
        prompts,
        generation_config=settings(),
        continuous_batching_config=ContinuousBatchingConfig(**batching, allow_block_sharing=shares),
    )
    texts = [output.generated_tokens for output in outputs.values()]
    assert texts == [greedy(model, prompt, NEW) for prompt in prompts]
    whole = sum(map(len, prompts)) + len(prompts) * (NEW - 1)
    assert sum(read) == whole - (21 + 19 if shares else 0)


def test_a_text_without_a_page_makes_the_youngest_wait(model: Any, expected: list[list[int]]):
    engine = model.init_continuous_batching(
        settings(), ContinuousBatchingConfig(page_size=1, num_blocks=19, safety_margin=0.0)
    )
    preempted = []
    scheduler = engine._engine.scheduler
    preempt = scheduler._preempt

    def note(request: Any) -> None:
        preempted.append(request.id)
        preempt(request)

    scheduler._preempt = note
    with engine:
        names = engine.add_requests(PROMPTS)
        results = [engine.get_result(name, PATIENCE) for name in names]
    assert [result.generated_tokens for result in results] == expected
    assert preempted
    assert "req_0" not in preempted
    assert free_pages(engine) == 19


def test_a_second_call_works_with_the_memory_of_the_first(model: Any, expected: list[list[int]]):
    options = ContinuousBatchingConfig(num_blocks=6)
    for _ in range(2):
        outputs = model.generate_batch(PROMPTS, settings(), options, persistent_manager=True)
        assert [output.generated_tokens for output in outputs.values()] == expected
        kept = model._continuous_engine
        assert kept.cache.pool.free == 6
    memory = kept.cache.layers[0].keys.data_ptr()
    with model.continuous_batching_context_manager(
        settings(), continuous_batching_config=options, persistent_manager=True
    ) as served:
        name = served.add_request(PROMPTS[0])
        assert served.get_result(name, PATIENCE).generated_tokens == expected[0]
    assert model._continuous_engine.cache.layers[0].keys.data_ptr() == memory
    model.destroy_cached_continuous_batching_manager()
    assert not hasattr(model, "_continuous_engine")
    model.generate_batch(PROMPTS, settings(), options)
    assert not hasattr(model, "_continuous_engine")


def test_prompts_that_cannot_be_have_an_error_and_the_others_a_text(
    model: Any, expected: list[list[int]]
):
    prompts = [PROMPTS[0], [], [1, 999], [-1], [1] * 60, PROMPTS[1]]
    options = ContinuousBatchingConfig(page_size=4, num_blocks=8)
    outputs = list(model.generate_batch(prompts, settings(), options).values())
    assert [outputs[0].generated_tokens, outputs[5].generated_tokens] == expected[:2]
    wanted = ("empty", "999", "token id -1", "room for 32")
    for output, words in zip(outputs[1:5], wanted, strict=True):
        assert output.status is RequestStatus.FAILED
        assert not output.is_finished()
        assert words in output.error


def test_a_text_without_limit_that_fills_the_cache_fails_alone(
    model: Any, expected: list[list[int]]
):
    class Never(Slow):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(input_ids[:, 0], dtype=torch.bool)

    with manager(model, {"num_blocks": 5}, max_length=None, max_new_tokens=None) as served:
        endless = served.add_request([1, 2, 3], stopping_criteria=[Never()])
        short = served.add_request(PROMPTS[0], max_new_tokens=NEW)
        assert served.get_result(short, PATIENCE).generated_tokens == expected[0]
        failed = served.get_result(endless, PATIENCE)
        assert failed.status is RequestStatus.FAILED
        assert "room for 20: raise num_blocks" in failed.error
    assert free_pages(served) == 5


def test_a_processor_that_fails_ends_its_own_request_only(model: Any, expected: list[list[int]]):
    with manager(model) as served:
        broken = served.add_request(PROMPTS[0], logits_processor=[Fails()])
        whole = served.add_request(PROMPTS[0])
        assert served.get_result(whole, PATIENCE).generated_tokens == expected[0]
        result = served.get_result(broken, PATIENCE)
        assert result.error == "RuntimeError: no more than four"
        assert result.generated_tokens == expected[0][:2]
    assert free_pages(served) == 32


def test_a_pass_that_fails_is_run_again_one_by_one(
    model: Any, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
):
    forward = model.forward

    def sometimes(input_ids: torch.Tensor, **arguments: Any) -> Any:
        if (input_ids == 9).any():
            raise RuntimeError("nine is not served")
        return forward(input_ids, **arguments)

    monkeypatch.setattr(model, "forward", sometimes)
    outputs = list(model.generate_batch([PROMPTS[0], PROMPTS[2]], settings()).values())
    assert outputs[0].generated_tokens == expected[0]
    assert outputs[1].error == "RuntimeError: nine is not served"


def test_streaming_gives_each_token_as_it_comes(model: Any, expected: list[list[int]]):
    with manager(model) as served:
        name = served.add_request(PROMPTS[0], streaming=True, record_timestamps=True)
        parts = list(served.request_id_iter(name))
    assert [part.generated_tokens for part in parts] == [
        expected[0][: n + 1] for n in range(len(expected[0]))
    ]
    assert [part.is_finished() for part in parts] == [False] * (NEW - 1) + [True]
    assert parts[0].status is RequestStatus.DECODING
    last = parts[-1]
    assert last.timestamps == sorted(last.timestamps)
    assert len(last.timestamps) == NEW
    assert last.created_time <= last.lifespan[0] <= last.timestamps[0] <= last.lifespan[1]


def test_requests_are_admitted_while_others_run(model: Any, expected: list[list[int]]):
    slow = Slow()
    with manager(model) as served:
        first = served.add_request(PROMPTS[0], max_new_tokens=50, logits_processor=[slow])
        assert slow.begun.wait(PATIENCE)
        second = served.add_request(PROMPTS[1])
        assert served.get_result(timeout=PATIENCE).request_id == second
        slow.hurry.set()
        assert len(served.get_result(first, PATIENCE).generated_tokens) == 50


def test_a_cancelled_request_frees_its_pages_and_is_heard_of_no_more(model: Any):
    slow = Slow()
    with manager(model) as served:
        name = served.add_request(
            PROMPTS[0], max_new_tokens=100, streaming=True, logits_processor=[slow]
        )
        assert served.get_result(name, PATIENCE) is not None
        served.cancel_request(name)
        served.cancel_request("nobody")
        assert served.get_result(name, PATIENCE) is None
        assert list(served.request_id_iter(name)) == []
        other = served.add_request(PROMPTS[1])
        assert served.get_result(timeout=PATIENCE).request_id == other
        again = served.add_request(PROMPTS[1], request_id=name)
        assert served.get_result(again, PATIENCE).is_finished()
    assert free_pages(served) == 32


def test_a_name_that_is_taken_is_not_given_to_another(model: Any):
    with manager(model) as served:
        names = [served.add_request(PROMPTS[1], request_id="req_0"), served.add_request([1])]
        assert names == ["req_0", "req_1"]
        served.stop()
        with pytest.raises(GenerationError, match="stopped"):
            served.add_request([1], request_id="req_0")
        served.start()
        with pytest.raises(GenerationError, match="'req_0' names a request that is not finished"):
            served.add_request([1], request_id="req_0")
        assert {result.request_id for result in (served.get_result(), served.get_result())} == set(
            names
        )
        assert served.add_request([1], request_id="req_0") == "req_0"


def test_a_request_that_failed_at_once_can_be_cancelled(model: Any):
    served = model.init_continuous_batching(settings())
    served.cancel_request(served.add_request([]))
    with served:
        name = served.add_request(PROMPTS[0])
        assert served.get_result(timeout=PATIENCE).request_id == name


def test_results_are_iterated_over_until_the_manager_has_stopped(
    model: Any, expected: list[list[int]]
):
    with manager(model) as served:
        names = served.add_requests(PROMPTS, max_new_tokens=NEW)
        served.stop(block=False)
        results = {result.request_id: result.generated_tokens for result in served}
    assert results == dict(zip(names, expected, strict=True))
    assert not served.is_running()
    assert served.get_result() is None
    with pytest.raises(GenerationError, match="was stopped"):
        served.add_request([1])


def test_a_manager_can_start_again(model: Any, expected: list[list[int]]):
    served = model.init_continuous_batching(settings(), workload_hints=WorkloadHints(11, NEW, 5))
    assert served.cache.pool.pages == 5
    name = served.add_request(PROMPTS[0])  # waits for the start
    for _ in range(2):
        served.start()
        served.start()
        assert served.get_result(name, PATIENCE).generated_tokens == expected[0]
        served.stop()
        served.start()
        name = served.add_request(PROMPTS[0])
    served.destroy()
    assert served.get_result(name, PATIENCE) is None


def test_many_threads_may_ask_at_once(model: Any, expected: list[list[int]]):
    found: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        name = served.add_request(PROMPTS[number % 5])
        found[number] = served.get_result(name, PATIENCE).generated_tokens

    with manager(model, TIGHT) as served:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert found == {number: expected[number % 5] for number in range(20)}
    assert free_pages(served) == TIGHT["num_blocks"]


def test_an_error_in_the_block_drops_what_is_not_finished(model: Any):
    with pytest.raises(KeyError), manager(model) as served:  # noqa: PT012 - the block is the test
        served.add_request(PROMPTS[0], max_new_tokens=100, logits_processor=[Slow()])
        raise KeyError
    assert not served.is_running()
    assert free_pages(served) == 32


def test_a_breakdown_of_the_thread_reaches_those_who_wait(
    model: Any, monkeypatch: pytest.MonkeyPatch
):
    with manager(model) as served:
        monkeypatch.setattr(served._engine.scheduler, "plan", lambda: 1 / 0)
        name = served.add_request(PROMPTS[0])
        result = served.get_result(name, PATIENCE)
        assert result.error == "ZeroDivisionError: division by zero"
        with pytest.raises(GenerationError, match="broke down: division by zero"):
            served.get_result(name, PATIENCE)
        with pytest.raises(GenerationError, match="broke down"):
            served.add_request(PROMPTS[0])
    assert free_pages(served) == 32


def test_a_handler_gets_the_results_in_place_of_the_queue(model: Any, expected: list[list[int]]):
    heard, done, slow = [], threading.Event(), Slow()

    def hear(output: Any) -> None:
        heard.append(len(output.generated_tokens))
        if output.is_finished():
            done.set()

    with manager(model) as served:
        name = served.add_request(PROMPTS[0], streaming=True, logits_processor=[slow])
        served.register_result_handler(name, hear)
        assert done.wait(PATIENCE)
        assert served.get_result(name, PATIENCE) is None
    assert heard == list(range(1, NEW + 1))


def test_a_full_queue_makes_callers_wait(model: Any):
    slow = Slow()
    with manager(model, {"max_queue_size": 1, "max_requests_per_batch": 1}) as served:
        served.add_request(PROMPTS[0], max_new_tokens=40, logits_processor=[slow])
        assert slow.begun.wait(PATIENCE)
        served.add_request(PROMPTS[1])
        third = threading.Thread(target=served.add_request, args=(PROMPTS[1],))
        third.start()
        third.join(0.05)
        assert third.is_alive()
        slow.hurry.set()
        third.join(PATIENCE)
        assert not third.is_alive()
        assert len([served.get_result(timeout=PATIENCE) for _ in range(3)]) == 3


def test_a_pause_holds_the_model_still(model: Any):
    slow = Slow()
    with manager(model) as served:
        name = served.add_request(
            PROMPTS[0], max_new_tokens=40, streaming=True, logits_processor=[slow]
        )
        assert slow.begun.wait(PATIENCE)
        with served.pause():
            while served.get_result(name, timeout=0.05) is not None:
                pass
            time.sleep(0.05)
            assert served.get_result(name, timeout=0) is None
        slow.hurry.set()
        assert list(served.request_id_iter(name))[-1].is_finished()
        with served.pause():
            last = served.add_request(PROMPTS[0])
            served.stop()
        assert served.get_result(last).is_finished()


def test_a_start_right_after_a_stop_waits_for_its_end(model: Any, expected: list[list[int]]):
    with manager(model) as served:
        first = served.add_request(PROMPTS[0])
        served.stop(block=False)
        served.start()
        second = served.add_request(PROMPTS[1])
        results = [served.get_result(name, PATIENCE) for name in (first, second)]
    assert [result.generated_tokens for result in results] == expected[:2]


def test_a_manager_that_works_longer_than_it_may_is_logged(
    model: Any, caplog: pytest.LogCaptureFixture
):
    slow = Slow()
    with manager(model) as served:
        served.add_request(PROMPTS[0], max_new_tokens=40, logits_processor=[slow])
        served.stop(timeout=0.01)
        assert served.is_running()
        assert "still works 0.01 s after" in caplog.text
        slow.hurry.set()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_beams": 2}, "num_beams=2 cannot be used in continuous batching"),
        ({"penalty_alpha": 0.5, "top_k": 4}, "penalty_alpha=0.5"),
        ({"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3"),
        ({"dola_layers": "low"}, "dola_layers"),
        ({"token_healing": True}, "token_healing=True"),
        ({"guidance_scale": 2.0}, "guidance_scale=2.0"),
        ({"output_scores": True, "return_dict_in_generate": True}, "output_scores=True"),
        ({"max_new_token": 3}, "max_new_token.*max_new_tokens"),
        ({"temperature": -1.0, "do_sample": True}, "temperature"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_the_call(
    model: Any, given: dict[str, Any], words: str
):
    with manager(model) as served:
        with pytest.raises(GenerationError, match=words):
            served.add_request(PROMPTS[0], **given)
        slow = Slow()
        name = served.add_request(PROMPTS[0], request_id="taken", logits_processor=[slow])
        with pytest.raises(GenerationError, match="'taken' names a request"):
            served.add_request(PROMPTS[1], request_id=name)
        slow.hurry.set()
        assert served.get_result(name, PATIENCE).is_finished()


@pytest.mark.parametrize("inputs", ["text", 3, [["a"]], ["text"], [[1.5]], [1, 2]])
def test_what_is_no_list_of_prompts_is_refused(model: Any, inputs: Any):
    with pytest.raises(GenerationError, match="list of token ids"):
        model.generate_batch(inputs, settings())


@pytest.mark.parametrize(
    "given",
    [
        {"page_size": 0},
        {"num_blocks": 0},
        {"max_batch_tokens": -1},
        {"max_memory_percent": 2.0},
        {"scheduler_type": "fif"},
        {"max_queue_size": -1},
        {"seed": 0.5},
    ],
)
def test_impossible_settings_of_batching_are_named(given: dict[str, Any]):
    name, value = next(iter(given.items()))
    with pytest.raises(GenerationError, match=f"{name}={value!r}"):
        ContinuousBatchingConfig(**given)


def test_settings_without_effect_here_are_told(caplog: pytest.LogCaptureFixture):
    ContinuousBatchingConfig(use_cuda_graph=True, q_padding_interval_size=64)
    assert "use_cuda_graph, q_padding_interval_size: without effect" in caplog.text


def test_a_model_without_next_tokens_cannot_batch():
    classifier = decoder(DecoderForSequenceClassification)
    assert not hasattr(classifier, "generate_batch")


def test_wrong_settings_are_raised_though_the_prompt_is_read(model: Any):
    with pytest.raises(GenerationError, match=r"stop_strings.*tokenizer"):
        model.generate_batch(PROMPTS, settings(stop_strings=["x"]))
    with pytest.raises(GenerationError, match="which is no token id"):
        model.generate_batch([[2**70]], settings())


def test_no_prompts_no_outputs(model: Any):
    assert model.generate_batch([], settings()) == {}


def test_a_progress_bar_is_shown_on_request_alone(model: Any, capsys: pytest.CaptureFixture[str]):
    model.generate_batch(PROMPTS[:2], settings())
    assert capsys.readouterr().err == ""
    model.generate_batch(PROMPTS[:2], settings(), progress_bar=True)
    assert "2/2" in capsys.readouterr().err
