"""Golden cases that pairs of an encoder and a decoder have in common."""

from __future__ import annotations

from typing import Any

from cases import (
    EVERYTHING,
    WIDTH,
    Call,
    Inputs,
    call,
    floats,
    ints,
    padding,
    token_ids,
)

TARGET: Inputs = {"decoder_input_ids": token_ids("target", 2, 5)}
LABELS = ints([[7, 8, -100, 10], [11, 12, 13, -100]])
BERT: Inputs = {
    "model_type": "bert",
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
GPT2: Inputs = {
    "model_type": "gpt2",
    "vocab_size": 99,
    "n_positions": 40,
    "n_embd": WIDTH,
    "n_layer": 2,
    "n_head": 4,
    "bos_token_id": 98,
    "eos_token_id": 98,
}
DECODER: Inputs = {"is_decoder": True, "add_cross_attention": True}
TOKENS: Inputs = {"pad_token_id": 0, "decoder_start_token_id": 3}


def pair_calls(source: Inputs, width: int) -> list[Call]:
    """Loss and gradients, masks, ready states of the encoder, embeddings."""
    mask = {"decoder_attention_mask": padding(5, 5, 3)}
    encoded = {"encoder_outputs": {"tuple": [floats("encoded", 2, 7, width)]}}
    embeds = {"decoder_inputs_embeds": floats("decoder", 2, 3, WIDTH)}
    loss = {**source, "labels": LABELS, "use_cache": False, **EVERYTHING}
    return [
        call("loss", loss, gradients=True),
        call("plain", {**source, **TARGET, **mask, **EVERYTHING, "use_cache": False}),
        call("encoded", {**encoded, **TARGET, "use_cache": False}),
        call("embeds", {**source, **embeds, "use_cache": False}),
    ]


def continuation(source: Inputs) -> Call:
    """Five tokens, then two and one more on the cache."""
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    more = [token_ids(f"more-{count}", 2, count) for count in (2, 1)]
    return call(
        "continuation",
        {**source, **TARGET, "use_cache": True},
        *({**source, "decoder_input_ids": ids, **past} for ids in more),
    )


def generation(source: Inputs, **extra: Any) -> list[Call]:
    """Greedy and beam search."""
    common = {**source, "do_sample": False, "eos_token_id": 2, **extra}
    beams = {"num_beams": 3, "return_dict_in_generate": True, "output_scores": True}
    return [
        call("greedy", {**common, "max_new_tokens": 8}, method="generate"),
        call("beams", {**common, **beams, "max_new_tokens": 6}, method="generate"),
    ]
