"""Whatever the strategy: a row gives what it gives alone, and embeddings what their ids give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden.generation_calls import MODELS, Calls
from torch import Tensor

import dovetail
from dovetail.errors import GenerationError
from dovetail.testing import seeded

CALLS = Calls(dovetail, seeded)
NEW = 8
PLAIN: dict[str, Any] = {"max_new_tokens": NEW, "eos_token_id": None}
ANY: dict[str, dict[str, Any]] = {
    "greedy": {},
    # Padding counts as text to penalties, as in the field: its token stays out of this.
    "processed": {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "suppress_tokens": [0]},
    "beams": {"num_beams": 4, "num_return_sequences": 3},
    "short beams": {"num_beams": 3, "length_penalty": -1.0, "early_stopping": "never"},
    "groups": {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 0.6,
        "num_return_sequences": 4,
    },
    "words": {"num_beams": 3, "force_words_ids": [[40, 41], [[50], [52, 53]]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
}
OF_DECODERS: dict[str, dict[str, Any]] = {
    "a layer": {"dola_layers": [1]},
    "guided": {"guidance_scale": 1.7},
    "guided beams": {"guidance_scale": 1.7, "num_beams": 3},
}
SEQ2SEQ = ("t5", "bart")
DECODERS = tuple(name for name in MODELS if name not in SEQ2SEQ)
EVERY = [(model, name) for model in MODELS for name in ANY]
EVERY += [(model, name) for model in DECODERS for name in OF_DECODERS]


def generate(model: Any, strategy: str, **inputs: Any) -> Tensor:
    """The new tokens (rows, N)."""
    result = model.generate(**inputs, **PLAIN, **{**ANY, **OF_DECODERS}[strategy])
    return result[:, -NEW:]


@pytest.mark.parametrize(("name", "strategy"), EVERY)
def test_a_row_gives_what_it_gives_alone(name: str, strategy: str) -> None:
    model = CALLS.build(name)
    ids, mask = CALLS.prompts(name in SEQ2SEQ)
    batch = generate(model, strategy, input_ids=ids, attention_mask=mask).unflatten(0, (3, -1))
    for row in range(3):
        alone = generate(model, strategy, input_ids=ids[row, mask[row].bool()][None])
        assert alone.tolist() == batch[row].tolist()


@pytest.mark.parametrize(("name", "strategy"), EVERY)
def test_embeddings_give_what_their_ids_give(name: str, strategy: str) -> None:
    model = CALLS.build(name)
    ids, mask = CALLS.prompts(name in SEQ2SEQ)
    embeds = model.get_input_embeddings()(ids).detach()
    expected = generate(model, strategy, input_ids=ids, attention_mask=mask)
    given: dict[str, Any] = {"inputs_embeds": embeds, "attention_mask": mask}
    if name not in SEQ2SEQ:
        both = generate(model, strategy, input_ids=ids, **given)
        assert torch.equal(both, expected)
    if strategy == "processed" and name not in SEQ2SEQ:
        return  # without ids there is nothing in the prompt to repeat
    if strategy.startswith("guided"):
        given["negative_prompt_ids"] = ids[:, -1:]
    assert torch.equal(generate(model, strategy, **given), expected)


def test_guidance_of_embeddings_needs_a_token_to_begin_with() -> None:
    model = CALLS.build("llama")
    embeds = model.get_input_embeddings()(torch.tensor([[8, 9]])).detach()
    with pytest.raises(GenerationError, match="pass negative_prompt_ids, or input_ids as well"):
        model.generate(inputs_embeds=embeds, guidance_scale=2.0, max_new_tokens=2)
