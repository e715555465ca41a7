"""Golden cases that BLIP-2 and InstructBLIP have in common."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, WIDTH, Call, Inputs, call, floats, ints, padding, token_ids
from patch_cases import SIZES

PLACE = 4
"""The token in whose places pictures are."""
QUERIES = 3
OPT: Inputs = {
    "model_type": "opt",
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "word_embed_proj_dim": WIDTH,
    "ffn_dim": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "eos_token_id": 97,
}
T5: Inputs = {
    "model_type": "t5",
    "vocab_size": 99,
    "d_model": WIDTH,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": 2,
    "num_heads": 4,
    "is_encoder_decoder": True,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
}
QFORMER: Inputs = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 41,
    "max_position_embeddings": 20,
}
VISION: Inputs = {**SIZES, "hidden_size": 40}
PARTS: Inputs = {
    "vision_config": VISION,
    "qformer_config": QFORMER,
    "text_config": OPT,
    "num_query_tokens": QUERIES,
}
ANSWERS = ints([[7, 8, -100, 10], [11, 12, 13, -100]])
GREEDY: Inputs = {"do_sample": False, "max_new_tokens": 6}
BEAMS: Inputs = {"num_beams": 3, "return_dict_in_generate": True, "output_scores": True}


def texts(places: int) -> Inputs:
    """Two texts, one of them padded on the left, behind `places` for pictures."""
    rows = [[2, 5, 6, 7, 8], [1, 1, 2, 9, 10]]
    masks = [[1] * 5, [0, 0, 1, 1, 1]]
    return {
        "input_ids": ints([[PLACE] * places + row for row in rows]),
        "attention_mask": ints([[1] * places + mask for mask in masks]),
    }


def labels_of(inputs: Inputs) -> Inputs:
    """The words of `inputs` as labels."""
    rows = inputs["input_ids"]["ints"]
    return ints([[-100 if one in (1, PLACE) else one for one in row] for row in rows])


def writing_calls(seen: Inputs, places: int, **extra: Any) -> list[Call]:
    """Loss and gradients, generation from texts of `seen` pictures that take `places`."""
    given = {**seen, **texts(places)}
    loss = {**given, "labels": labels_of(given), **EVERYTHING, **extra}
    return [
        call("loss", loss, gradients=True),
        call("greedy", {**given, **GREEDY}, method="generate"),
        call("beams", {**given, **GREEDY, **BEAMS}, method="generate"),
        call("unasked", {**seen, **GREEDY}, method="generate"),
    ]


def encoding_calls(seen: Inputs, places: int) -> list[Call]:
    """The same of a language model with an encoder."""
    given = {**seen, **texts(places)}
    decoded = {"decoder_input_ids": token_ids("decoded", 2, 4)}
    return [
        call("loss", {**given, "labels": ANSWERS, **EVERYTHING}, gradients=True),
        call("decoded", {**given, **decoded}),
        call("greedy", {**given, **GREEDY}, method="generate"),
        call("beams", {**given, **GREEDY, **BEAMS}, method="generate"),
    ]


def asked(rows: int = 2) -> Inputs:
    """Instructions for the Q-Former."""
    ids = token_ids("asked", rows, 6, low=5, high=60)
    return {"qformer_input_ids": ids, "qformer_attention_mask": padding(6, *(6, 4, 5)[:rows])}


def qformer_states() -> Inputs:
    """What a Q-Former attends to."""
    return {
        "encoder_hidden_states": floats("seen", 2, 5, 40),
        "encoder_attention_mask": padding(5, 5, 3),
    }
