"""Golden cases that recurrent models without attention share."""

from __future__ import annotations

from cases import (
    WIDTH,
    Call,
    call,
    causal_lm_calls,
    floats,
    ints,
    padded,
    padding,
    token_ids,
)

SIZES = {
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "state_size": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
STATES = {"output_hidden_states": True}


def step_calls(rows: int = 2) -> list[Call]:
    """Five tokens, and one more behind their states."""
    past = {"cache_params": {"output": "cache_params"}, "use_cache": True}
    return [
        call(
            "step",
            {"input_ids": token_ids("continue-0", rows, 5), "use_cache": True},
            {
                "input_ids": token_ids("continue-1", rows, 1),
                "cache_position": ints([5]),
                **past,
                **STATES,
            },
        )
    ]


def body_calls() -> list[Call]:
    """A body: with and without states, padding on either side, embeddings, a step."""
    return [
        call("plain", {"input_ids": token_ids("plain", 2, 7), "use_cache": True, **STATES}),
        call("no-cache", {"input_ids": token_ids("plain", 2, 7), "use_cache": False}),
        # The reference's states fade where padding stands behind a text: it is without them.
        call(
            "right-padding",
            {**padded("right", padding(6, 6, 4, 2)), **STATES, "use_cache": False},
        ),
        call(
            "left-padding",
            {**padded("left", padding(6, 6, 4, 2, left=True)), **STATES},
            blank="attention_mask",
        ),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH), "use_cache": True}),
        *step_calls(),
    ]


def language_model_calls() -> list[Call]:
    """Loss and gradients, a step, generation. The reference does not reorder the states of beams,
    so these go without."""
    calls = [one for one in causal_lm_calls() if one.name != "continuation"]
    calls[0].steps[0].pop("output_attentions")
    for one in calls:
        if "num_beams" in one.steps[0]:
            one.steps[0]["use_cache"] = False
    return [*calls, *step_calls()]
