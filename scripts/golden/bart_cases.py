"""Golden cases that the encoder-decoders with BART's blocks have in common."""

from __future__ import annotations

from typing import Any

from cases import (
    EVERYTHING,
    WIDTH,
    Call,
    Family,
    Inputs,
    call,
    continuations,
    floats,
    generation_calls,
    ints,
    padded,
    padding,
    seq2seq_calls,
    token_ids,
    values,
)

SIZES: Inputs = {
    "vocab_size": 99,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "max_position_embeddings": 40,
}
TEXT: Inputs = {"input_ids": token_ids("source", 2, 7)}
TARGET: Inputs = {**TEXT, "decoder_input_ids": token_ids("target", 2, 4)}
LABELS = ints([[7, 8, -100, 10], [11, 12, 13, -100]])
HEADS: Inputs = {
    "head_mask": values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]]),
    "cross_attn_head_mask": values([[0.25, 0.0], [0.0, 1.0]]),
}


def body(family: Family, model: str, **config: Any) -> None:
    """Both stacks, masks of heads, scaled embeddings."""
    family.case(
        model, [*seq2seq_calls(), call("head-masks", {**TARGET, **HEADS, **EVERYTHING})], **config
    )
    family.case(
        model,
        seq2seq_calls()[:2],
        "scaled",
        scale_embedding=not family.sizes.get("scale_embedding", False),
        activation_function="gelu_new",
        decoder_layers=3,
        **config,
    )


def generation(pad: int, **options: Any) -> list[Call]:
    """Greedy and beam search, alone and in a padded batch."""
    calls = [
        one
        for one in generation_calls(pad, **options)
        if one.name in ("greedy", "greedy-batch", "beam-batch")
    ]
    del calls[-1].steps[0]["output_scores"]  # an end that is forced leaves the rest no score
    return calls


def conditional_generation(
    family: Family, model: str, pad: int = 1, variant: str = "", **config: Any
) -> None:
    """Loss and gradients, a cache, generation."""
    loss = {**padded("labelled", padding(7, 7, 4), pad), "labels": LABELS, **EVERYTHING}
    calls = [
        call("loss", loss, gradients=True),
        call("continuation", *seq2seq_calls()[-1].steps),
        *generation(pad, left=False),
    ]
    family.case(model, calls, variant, **config)


def causal_lm(family: Family, model: str, pad: int = 1, **config: Any) -> None:
    """The decoder alone: loss and gradients, a cache, an encoder's states, generation."""
    labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
    encoded = {
        "encoder_hidden_states": floats("encoder", 2, 4, WIDTH),
        "encoder_attention_mask": padding(4, 4, 2),
    }
    calls = [
        call("loss", {**TEXT, "labels": labels, **EVERYTHING}, gradients=True),
        call("cross", {**TEXT, **encoded, "labels": labels, **EVERYTHING}, gradients=True),
        call("continuation", *continuations()[0].steps),
        *generation(pad)[:1],
    ]
    family.case(model, calls, **config)


def sequence_classification(family: Family, model: str) -> None:
    """The state at the last end of each text is classified."""
    ended = ints([[11, 2, 13, 14, 15, 2], [21, 2, 23, 2, 1, 1], [2, 32, 2, 1, 1, 1]])
    inputs = {"input_ids": ended, "attention_mask": padding(6, 6, 4, 3)}
    calls = [
        call("loss", {**inputs, "labels": ints([2, 0, 1])}, gradients=True),
        call("plain", {**inputs, **EVERYTHING}),
    ]
    family.case(model, calls, num_labels=3)


def question_answering(family: Family, model: str) -> None:
    """Positions inside the text, and one beyond it, which the loss must ignore."""
    spans = {"start_positions": ints([1, 9]), "end_positions": ints([3, 2])}
    inputs = padded("answers", padding(7, 7, 4), 1)
    family.case(
        model,
        [call("loss", {**inputs, **spans}, gradients=True), call("plain", {**TARGET})],
        num_labels=2,
    )
