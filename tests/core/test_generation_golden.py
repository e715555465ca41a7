"""``generate`` and the logits processors against what the reference library computed.

`scripts/golden/generation.py` wrote the golden files with a plain-torch model; here the same model
is made of Dovetail's parts and runs with a cache.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dovetail import generation
from dovetail.caches import Cache
from dovetail.configs import PretrainedConfig
from dovetail.generation import GenerationMixin
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import CausalLMOutputWithPast
from dovetail.testing import seeded

GOLDEN = Path(__file__).parents[1] / "golden/generation"
VOCABULARY, WIDTH = 40, 16


def golden(name: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / f"{name}.json").read_text())["cases"]


class TinyConfig(PretrainedConfig):
    model_type = "tiny-golden"
    vocab_size: int = VOCABULARY


class TinyLM(PreTrainedModel, GenerationMixin):
    """One attention layer over embeddings, with a cache."""

    config_class = TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        shapes = {"embed": (VOCABULARY, WIDTH), "head": (VOCABULARY, WIDTH)}
        shapes |= dict.fromkeys(("query", "key", "value"), (WIDTH, WIDTH))
        values = {
            name: torch.from_numpy(seeded.noise(f"tiny.{name}", shapes[name])) for name in shapes
        }
        self.w = nn.ParameterDict(values)
        self.passes: list[int] = []

    def get_input_embeddings(self) -> nn.Module:
        return nn.Embedding.from_pretrained(self.w.embed)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        return_dict: bool = True,
    ) -> CausalLMOutputWithPast:
        self.passes.append(input_ids.shape[1])
        states = self.w.embed[input_ids]
        query, key, value = states @ self.w.query, states @ self.w.key, states @ self.w.value
        if past_key_values is not None:
            key, value = past_key_values.update(key[:, None], value[:, None], 0)
            key, value = key[:, 0], value[:, 0]
        rows, columns = query.shape[1], key.shape[1]
        visible = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)[None]
        if attention_mask is not None:
            visible = visible & attention_mask[:, None].bool()
        weights = (query @ key.mT / 16).masked_fill(~visible, torch.finfo(torch.float32).min)
        mixed = states + weights.softmax(-1) @ value
        logits = (mixed / mixed.std(-1, keepdim=True)) @ self.w.head.T
        logits = (
            logits - states @ self.w.embed.T / 2
        )  # a token repels itself, or all texts would loop
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)


@pytest.fixture
def model() -> TinyLM:
    return TinyLM(TinyConfig(bos_token_id=1, pad_token_id=0)).eval()


def as_tensors(arguments: dict[str, Any]) -> dict[str, Any]:
    names = ("inputs", "attention_mask")
    return {key: torch.tensor(value) if key in names else value for key, value in arguments.items()}


CALLS = golden("generate")
WITHOUT_CACHE = [case for case in CALLS if "/ragged/" in case["name"]]


@pytest.mark.parametrize(
    ("case", "use_cache"),
    [*((case, True) for case in CALLS), *((case, False) for case in WITHOUT_CACHE)],
    ids=lambda value: value["name"] if isinstance(value, dict) else f"cache={value}",
)
def test_generate_equals_the_reference(
    model: TinyLM, case: dict[str, Any], use_cache: bool
) -> None:
    torch.manual_seed(3)
    result = model.generate(**as_tensors(case["arguments"]), use_cache=use_cache)
    if not case["arguments"].get("return_dict_in_generate"):
        assert result.tolist() == case["sequences"]
        return
    assert result.sequences.tolist() == case["sequences"]
    check_scores(result, case)
    check_transitions(model, result, case)


def check_scores(result: Any, case: dict[str, Any]) -> None:
    for name in ("scores", "logits"):
        steps = torch.stack(result[name], 1)
        found = seeded.fingerprint(steps.masked_fill(steps.isinf(), -50).numpy(), name)
        assert found["shape"] == case[name]["shape"]
        for key in ("first", "last", "mean", "std", "projection"):
            assert found[key] == pytest.approx(case[name][key], abs=1e-4), (name, key)
    for name in ("beam_indices", "sequences_scores"):
        assert (name in result) == (name in case)
    if "beam_indices" in case:
        assert result.beam_indices.tolist() == case["beam_indices"]
        found = result.sequences_scores.tolist()
        assert found == pytest.approx(case["sequences_scores"], rel=1e-5, abs=1e-5)


def check_transitions(model: TinyLM, result: Any, case: dict[str, Any]) -> None:
    indices = result.get("beam_indices")
    for normalize in (False, True):
        found = model.compute_transition_scores(
            result.sequences, result.scores, indices, normalize_logits=normalize
        )
        close(found, case[f"transitions_{normalize}".lower()])


def close(found: Tensor, wanted: list[list[Any]]) -> None:
    assert list(found.shape) == [len(wanted), len(wanted[0])]
    for row, expected in zip(found.tolist(), wanted, strict=True):
        assert row == pytest.approx([float(value) for value in expected], abs=1e-4, nan_ok=True)


def test_a_cached_step_reads_one_token(model: TinyLM) -> None:
    model.generate(torch.tensor([[8, 9, 10]]), max_new_tokens=4)
    assert model.passes == [3, 1, 1, 1]


IDS = torch.tensor([[3, 5, 9, 3, 5], [1, 1, 2, 7, 1], [4, 6, 4, 6, 4]])


@pytest.mark.parametrize(
    "case", golden("processors"), ids=lambda case: f"{case['processor']}-{case['arguments']}"
)
def test_processor_equals_the_reference(case: dict[str, Any]) -> None:
    scores = torch.from_numpy(seeded.noise("processor scores", (3, 12), 0.0, 2.0))
    before = scores.clone()
    arguments = dict(case["arguments"])
    if "encoder_input_ids" in arguments:
        arguments["encoder_input_ids"] = torch.tensor(arguments["encoder_input_ids"])
    processor = getattr(generation, case["processor"])(**arguments)
    for _ in range(2):  # what is kept between calls changes nothing
        close(processor(IDS, scores), case["scores"])
    assert torch.equal(scores, before)


def test_a_forbidden_end_stays_forbidden() -> None:
    scores = torch.tensor([[1.0, -math.inf, 2.0]])
    decay = generation.ExponentialDecayLengthPenalty((1, 1.5), [1, 2], 1)
    assert decay(IDS[:1], scores).tolist() == [[1.0, -math.inf, 2.0 + 2.0 * (1.5**3 - 1)]]


def test_removing_invalid_values() -> None:
    scores = torch.tensor([[math.nan, math.inf, -math.inf, 1.0]])
    bounds = torch.finfo(torch.float32)
    fixed = generation.InfNanRemoveLogitsProcessor()(IDS, scores)
    assert fixed.tolist() == [[0.0, bounds.max, bounds.min, 1.0]]
