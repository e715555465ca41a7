"""Golden cases that decoders of many families have in common."""

from __future__ import annotations

from typing import Any

from cases import (
    EVERYTHING,
    Call,
    Family,
    call,
    decoder_calls,
    generation_calls,
    ints,
    labelled,
    padding,
    token_classification,
    token_ids,
    values,
)


def body(family: Family, model: str, positions: bool = True) -> None:
    """A body, masks of heads included."""
    heads = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]])
    masked = call(
        "head-mask", {"input_ids": token_ids("plain", 2, 7), "head_mask": heads, **EVERYTHING}
    )
    family.case(model, [*decoder_calls(positions=positions), masked])


def causal_lm(family: Family, model: str, **config: Any) -> None:
    """Loss and gradients, greedy search, beams in a padded batch."""
    labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
    text = {"input_ids": token_ids("plain", 2, 7), "labels": labels}
    generation: list[Call] = [
        one for one in generation_calls() if one.name in ("greedy-batch", "beam-batch")
    ]
    family.case(
        model, [call("loss", {**text, **EVERYTHING}, gradients=True), *generation], **config
    )


def heads(family: Family, prefix: str, tokens: bool = True) -> None:
    """The classifiers of texts, of answers and, with `tokens`, of tokens."""
    mask = padding(6, 6, 4, 3)
    family.case(
        f"{prefix}ForSequenceClassification",
        labelled("classify", (3, 6), mask, labels=ints([2, 0, 1])),
        num_labels=3,
    )
    spans = {"start_positions": ints([1, 9, 0]), "end_positions": ints([3, 2, 17])}
    family.case(f"{prefix}ForQuestionAnswering", labelled("answers", (3, 6), mask, **spans))
    if tokens:
        token_classification(family, f"{prefix}ForTokenClassification")
