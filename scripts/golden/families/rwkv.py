"""Golden cases of RWKV.

The reference knows no padding, confuses the states of several texts when it reads single tokens,
and those of beams: such cases are without a state there.
"""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Call,
    Family,
    call,
    floats,
    generation_calls,
    ints,
    ones,
    token_ids,
)

STATE = {"state": {"output": "state"}, "use_cache": True}


def body_calls() -> list[Call]:
    """Tokens and embeddings, at once and in steps."""
    first, second, third = (token_ids(f"continue-{n}", 2, n) for n in (5, 3, 2))
    alone, token = token_ids("alone", 1, 5), token_ids("token", 1, 1)
    return [
        call("plain", {"input_ids": token_ids("plain", 2, 7), "use_cache": True, **EVERYTHING}),
        call("no-cache", {"input_ids": token_ids("plain", 2, 7), "use_cache": False}),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH), "use_cache": True}),
        call(
            "continuation",
            {"input_ids": first, "use_cache": True},
            {"input_ids": second, **STATE},
            {"input_ids": third, **STATE, **EVERYTHING},
        ),
        call("token", {"input_ids": alone, "use_cache": True}, {"input_ids": token, **STATE}),
    ]


def language_model_calls() -> list[Call]:
    """Loss and gradients, a continuation, greedy search, beams."""
    labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
    text = {"input_ids": token_ids("plain", 2, 7), "labels": labels, "use_cache": False}
    greedy, beam = (one for one in generation_calls() if one.name in ("greedy", "beam"))
    beam.steps[0]["use_cache"] = False
    two = {"input_ids": token_ids("two", 2, 5), "attention_mask": ones(2, 5), "use_cache": False}
    rows = [
        call(f"{one.name}-rows", {**one.steps[0], **two}, method="generate")
        for one in (greedy, beam)
    ]
    return [
        call("loss", {**text, **EVERYTHING}, gradients=True),
        call("continuation", *body_calls()[3].steps),
        greedy,
        beam,
        *rows,
    ]


family = Family(
    package="models-text",
    model_type="rwkv",
    config_class="RwkvConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 3,
        "intermediate_size": 48,
        "context_length": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    },
    recipes={r"time_mix": (0.5, 0.3), r"time_decay": (-1.0, 1.5), r"time_first": (-1.0, 1.0)},
)
family.case("RwkvModel", body_calls())
family.case("RwkvModel", body_calls(), "rescaled", rescale_every=1, layer_norm_epsilon=1e-3)
family.case("RwkvModel", body_calls()[1:2], "wide", attention_hidden_size=48, rescale_every=0)
family.case("RwkvForCausalLM", language_model_calls())
family.case("RwkvForCausalLM", language_model_calls()[2:], "rescaled", rescale_every=2)
