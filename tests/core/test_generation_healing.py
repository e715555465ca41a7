"""Token healing: the last token of a prompt may become one that extends it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.core.byte_level import byte_level
from tests.core.decoder import decoder

from dovetail.errors import GenerationError

TOKENIZER = byte_level()


@pytest.fixture(scope="module")
def model() -> Any:
    settings = {"bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 128}
    return decoder(vocab_size=len(TOKENIZER), **settings)


def best(model: Any, ids: list[int], texts: list[str]) -> int:
    """Of the tokens `texts` the one that `model` prefers after `ids`; the first one is favoured."""
    logits = model(torch.tensor([ids])).logits[0, -1].detach()
    candidates = TOKENIZER.convert_tokens_to_ids(texts)
    logits[candidates[0]] += 1.0
    return max(candidates, key=lambda token: float(logits[token]))


CASES = {
    "x:": [":", ":/", "://"],
    "hello t": ["Ġt", "Ġthe"],
    "then": ["n", "na", "name"],
    "xtr  ": ["tr", "true"],
    "xyz": ["z"],
}


@pytest.mark.parametrize(("text", "candidates"), CASES.items())
def test_the_best_extension_takes_the_place_of_the_last_token(
    model: Any, text: str, candidates: list[str]
) -> None:
    ids = TOKENIZER(text, return_tensors="pt")["input_ids"]
    kept = TOKENIZER.encode(text.strip())
    expected = [*kept[:-1], best(model, kept[:-1], candidates)]
    assert model.heal_tokens(ids, TOKENIZER).tolist() == [expected]
    options = {"max_new_tokens": 5, "num_beams": 2}
    whole = model.generate(ids, tokenizer=TOKENIZER, token_healing=True, **options)
    assert whole.equal(model.generate(torch.tensor([expected]), **options))


def test_rows_heal_alike_alone_and_together(model: Any) -> None:
    texts = [*CASES, "h"]
    batch = TOKENIZER(texts, return_tensors="pt", padding=True, padding_side="left")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    options = {"tokenizer": TOKENIZER, "token_healing": True, "max_new_tokens": 4}
    together = model.generate(**inputs, **options)
    for row, text in zip(together, texts, strict=True):
        ids = TOKENIZER(text, return_tensors="pt")["input_ids"]
        alone = model.generate(ids, **options)[0]
        assert row[-len(alone) :].equal(alone)
        assert not row[: -len(alone)].any()


def test_a_single_token_follows_the_begin_token(model: Any) -> None:
    healed = model.heal_tokens(torch.tensor([TOKENIZER.encode("h")]), TOKENIZER)
    assert healed.tolist() == [[best(model, [1], ["h", "he"])]]


def test_sampling_draws_among_extensions(model: Any) -> None:
    ids = TOKENIZER("x:", return_tensors="pt")["input_ids"]
    options = {"tokenizer": TOKENIZER, "token_healing": True, "do_sample": True, "top_k": 0}
    torch.manual_seed(0)
    drawn = {
        int(model.generate(ids, max_new_tokens=1, temperature=50.0, **options)[0, 1])
        for _ in range(20)
    }
    assert drawn <= set(TOKENIZER.convert_tokens_to_ids([":", ":/", "://"]))
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokenizer": None}, "token_healing needs the model's tokenizer"),
        ({"inputs": torch.tensor([[1, 2]])}, "prompt 0 has no text to heal"),
        ({"position_ids": torch.tensor([[0]])}, "position_ids reads them as they are"),
        ({"token_healing": "yes"}, "token_healing='yes': it must be True or False"),
    ],
)
def test_faults(
    model: Any, arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "forward", None)
    monkeypatch.setattr("dovetail.generation.mixin.prompts.check_model_kwargs", lambda *_: None)
    options = {"inputs": torch.tensor([[9]]), "tokenizer": TOKENIZER, "token_healing": True}
    with pytest.raises(GenerationError, match=message):
        model.generate(**{**options, **arguments})
