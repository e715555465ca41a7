"""Golden cases of RecurrentGemma.

The reference keeps its state in the modules, where calls find those of others, be they of another
number of rows, and cannot generate with it: all calls are without a cache, and those of a case have
as many rows. It neither passes over padding on the left nor heeds the window of a whole text, which
is no longer than that here.
"""

from __future__ import annotations

from cases import (
    WIDTH,
    Call,
    Family,
    call,
    floats,
    generation_calls,
    ints,
    ones,
    padded,
    padding,
    token_ids,
)

RECORDED = {"output_hidden_states": True, "use_cache": False}


def body_calls() -> list[Call]:
    """Tokens, padding behind them, embeddings, a longer text: of two rows each."""
    return [
        call("plain", {"input_ids": token_ids("plain", 2, 7), **RECORDED}),
        call(
            "right-padding",
            {**padded("right", padding(6, 6, 4)), **RECORDED},
            blank="attention_mask",
        ),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH), "use_cache": False}),
        call("long", {"input_ids": token_ids("long", 2, 12), **RECORDED}),
    ]


def generation(name: str, rows: int) -> Call:
    """Greedy or beam search, from as many prompts."""
    (chosen,) = (one for one in generation_calls() if one.name == name)
    prompt = {"input_ids": token_ids("prompts", rows, 5), "attention_mask": ones(rows, 5)}
    return call(name, {**chosen.steps[0], **prompt, "use_cache": False}, method="generate")


family = Family(
    package="models-text",
    model_type="recurrent_gemma",
    config_class="RecurrentGemmaConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 3,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "attention_window_size": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    recipes={r"recurrent_param": (-3.0, 1.0), r"gate_weight": (0.0, 0.4), r"gate_bias": (0.0, 0.5)},
)
family.case("RecurrentGemmaModel", body_calls())
family.case(
    "RecurrentGemmaModel",
    body_calls()[:1],
    "wide",
    lru_width=48,
    block_types=["attention", "recurrent"],
    attention_bias=True,
    num_key_value_heads=2,
    conv1d_width=3,
    hidden_activation="relu",
)
position_ids = ints([[3, 4, 5, 9, 11], [1, 2, 3, 4, 5]])
text = {"input_ids": token_ids("positions", 2, 5), "position_ids": position_ids}
family.case("RecurrentGemmaModel", [call("positions", {**text, "use_cache": False})], "positions")
labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
text = {"input_ids": token_ids("plain", 2, 7), "labels": labels}
family.case(
    "RecurrentGemmaForCausalLM",
    [call("loss", {**text, **RECORDED}, gradients=True), generation("greedy", 2)],
)
family.case("RecurrentGemmaForCausalLM", [generation("greedy", 1)], "alone")
family.case("RecurrentGemmaForCausalLM", [generation("beam", 1)], "beam")
family.case("RecurrentGemmaForCausalLM", [generation("beam", 2)], "beams")
