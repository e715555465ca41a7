"""Golden cases that the relatives of Llama share."""

from __future__ import annotations

from typing import Any

from cases import (
    EVERYTHING,
    Call,
    Family,
    call,
    causal_lm_calls,
    decoder_calls,
    ints,
    labelled,
    padded,
    padding,
    token_classification,
    token_ids,
)

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def relative(model_type: str, prefix: str, positions: bool = True, **sizes: Any) -> Family:
    """A family with a case for the body, the language model and both classifiers.

    Without `positions` none are given that lie beyond the text.
    """
    family = Family(
        package="models-text",
        model_type=model_type,
        config_class=f"{prefix}Config",
        sizes=SIZES | sizes,
    )
    family.case(f"{prefix}Model", decoder_calls(positions=positions))
    family.case(f"{prefix}ForCausalLM", causal_lm_calls())
    classifiers(family, prefix)
    return family


def classifiers(family: Family, prefix: str) -> None:
    """A case of classification for texts and one for tokens."""
    calls = labelled("classify", (3, 6), padding(6, 6, 4, 3), labels=ints([2, 0, 1]))
    family.case(f"{prefix}ForSequenceClassification", calls, num_labels=3)
    token_classification(family, f"{prefix}ForTokenClassification")


def long_calls() -> list[Call]:
    """Twelve tokens at once, and in steps."""
    ids, more = token_ids("long", 2, 12), token_ids("more", 2, 3)
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    return [
        call("long", {"input_ids": ids, "use_cache": True, **EVERYTHING}),
        call("steps", {"input_ids": ids, "use_cache": True}, {"input_ids": more, **past}),
    ]


def balanced_calls() -> list[Call]:
    """The loss of a model with experts, balance included, without and with padding."""
    text = causal_lm_calls()[0].steps[0]
    labels = {"labels": text["labels"], "output_router_logits": True}
    mask = padding(7, 7, 4)
    return [
        call("balanced", {"input_ids": text["input_ids"], **labels}, gradients=True),
        call("balanced-padded", {**padded("balanced", mask), **labels}, gradients=True),
    ]
