"""Streamers, stop strings and watermarks on real tokenizers and texts, against the reference.

`scripts/golden/generation_text.py` wrote the golden file.
"""

from __future__ import annotations

import json
import math
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from golden.generation_calls import COMMON, MODELS, Calls

import dovetail
from dovetail.generation import (
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    TextIteratorStreamer,
    TextStreamer,
    WatermarkDetector,
)
from dovetail.testing import seeded
from dovetail_models_text.bert.tokenization import BertTokenizer
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer
from dovetail_models_text.llama.tokenization import LlamaTokenizer

FOLDER = Path(__file__).parents[1] / "golden"
CASES = json.loads((FOLDER / "generation/text.json").read_text())
CALLS = Calls(dovetail, seeded)


@cache
def tokenizer(name: str) -> Any:
    files = {file.name: str(file) for file in (FOLDER / "tokenizers").iterdir()}
    if name == "gpt2":
        return GPT2Tokenizer(files["vocab.json"], files["merges.txt"])
    if name == "llama":
        return LlamaTokenizer(files["bpe.model"], add_prefix_space=True)
    return BertTokenizer(files["vocab.txt"])


@pytest.mark.parametrize("case", CASES["streams"], ids=lambda case: case["tokenizer"])
def test_pieces_of_text_are_those_of_the_reference(case: dict[str, Any]) -> None:
    streamer = TextIteratorStreamer(tokenizer(case["tokenizer"]), timeout=5, **case["options"])
    streamer.put(torch.tensor([case["ids"][:2]]))
    for token in case["ids"][2:]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    assert list(streamer) == case["pieces"]


@pytest.mark.parametrize("case", CASES["stops"], ids=lambda case: str(case["stops"]))
def test_a_text_stops_where_the_reference_stops(case: dict[str, Any]) -> None:
    criterion = StopStringCriteria(tokenizer(case["tokenizer"]), case["stops"])
    ids = torch.tensor([case["ids"]])
    lengths = range(1, ids.shape[1] + 1)
    assert [bool(criterion(ids[:, :length], None)) for length in lengths] == case["done"]


@pytest.mark.parametrize(
    "case", CASES["marks"], ids=lambda case: f"{case['model']}-{case['scheme']}"
)
def test_a_detector_finds_what_the_reference_finds(case: dict[str, Any]) -> None:
    name, sizes = MODELS[case["model"]]
    config = getattr(dovetail, name).config_class(**COMMON, **sizes)
    mark = dovetail.WatermarkingConfig(**case["scheme"])
    texts = torch.tensor(case["texts"])
    detector = WatermarkDetector(config, "cpu", mark)
    found = detector(texts, return_dict=True)
    for field, expected in case["found"].items():
        assert found[field].tolist() == pytest.approx(expected, abs=1e-6)
    assert detector(texts).tolist() == case["found"]["prediction"]
    assert detector(texts, z_threshold=6.0).tolist() == case["strict"]
    chance = [0.5 * math.erfc(score / math.sqrt(2)) for score in found.z_score.tolist()]
    assert found.p_value.tolist() == pytest.approx(chance)
    assert found.confidence.tolist() == pytest.approx([1 - share for share in chance])


def test_a_detector_may_count_every_context_once() -> None:
    case = CASES["marks"][0]
    config = dovetail.LlamaConfig(**COMMON)
    mark = dovetail.WatermarkingConfig(**case["scheme"])
    detector = WatermarkDetector(config, "cpu", mark, ignore_repeated_ngrams=True)
    text = torch.tensor([[20, 21, 22] * 5])
    assert detector(text, return_dict=True).num_tokens_scored.tolist() == [3.0]


def test_a_stop_string_may_end_in_half_a_character_of_the_next_token() -> None:
    words = tokenizer("gpt2")
    criterion = StopStringCriteria(words, "na\u00ef")
    ids = torch.tensor([words("na\u00efve", add_special_tokens=False).input_ids])
    assert words.decode(ids[0, :2]) == "na\ufffd"
    assert [bool(criterion(ids[:, :length], None)) for length in (1, 2, 3)] == [False, False, True]


def test_a_text_is_streamed_while_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    model, words = CALLS.build("llama"), tokenizer("gpt2")
    ids, _ = CALLS.prompts(False, "single")
    options = {"max_new_tokens": 12, "eos_token_id": None}
    text = words.decode(model.generate(ids, **options)[0])
    model.generate(ids, streamer=TextStreamer(words), **options)
    assert capsys.readouterr().out == f"{text}\n"
    streamer = TextIteratorStreamer(words, skip_prompt=True, timeout=30)
    thread = threading.Thread(
        target=model.generate, args=(ids,), kwargs=options | {"streamer": streamer}
    )
    thread.start()
    assert "".join(streamer) == words.decode(model.generate(ids, **options)[0, 7:])
    thread.join()


def test_texts_stop_one_by_one_at_a_string() -> None:
    model, words = CALLS.build("llama"), tokenizer("bert")
    ids, mask = CALLS.prompts(False)
    options = {"attention_mask": mask, "max_new_tokens": 10, "eos_token_id": None}
    free = model.generate(ids, **options)
    stop = words.decode(free[1, 10:12])
    found = model.generate(ids, stop_strings=stop, tokenizer=words, **options)
    assert found[1, 7:12].tolist() == free[1, 7:12].tolist()


def test_any_callable_may_stop_and_time_may_run_out() -> None:
    class Fifth(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            return torch.full((len(input_ids),), input_ids.shape[1] >= 12)

    model = CALLS.build("llama")
    ids, mask = CALLS.prompts(False)
    options = {"attention_mask": mask, "max_new_tokens": 30, "eos_token_id": None}
    expected = model.generate(ids, **{**options, "max_new_tokens": 5})
    for criteria in ([Fifth()], StoppingCriteriaList([Fifth()]), [Fifth().__call__]):
        assert torch.equal(model.generate(ids, stopping_criteria=criteria, **options), expected)
    assert model.generate(ids, max_time=1e-6, **options).shape[1] == 8
    assert torch.equal(
        model.generate(ids, max_time=60.0, **{**options, "max_new_tokens": 5}), expected
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"do_sample": True},
        {"num_beams": 2},
        {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"num_beams": 2, "force_words_ids": [[20]]},
        {"penalty_alpha": 0.5, "top_k": 3},
        {"dola_layers": "low"},
    ],
    ids=str,
)
def test_a_process_of_its_own_need_not_wait(options: dict[str, Any]) -> None:
    model = CALLS.build("llama")
    ids, _ = CALLS.prompts(False, "single")
    torch.manual_seed(0)
    expected = model.generate(ids, max_new_tokens=4, **options)
    torch.manual_seed(0)
    found = model.generate(ids, max_new_tokens=4, synced_gpus=False, **options)
    assert torch.equal(found, expected)
