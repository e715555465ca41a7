"""Golden cases that models of images beside texts have in common."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Call, Inputs, call, ints, padding
from patch_cases import IMAGES, SIZES, WIDE

END = 98
TEXT_SIZES: Inputs = {
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 16,
    "bos_token_id": 97,
    "eos_token_id": END,
}
TEXTS: Inputs = {"input_ids": ints([[97, 5, 6, 7, 8, END], [97, 9, END, END, END, END]])}
PADDED: Inputs = {**TEXTS, "attention_mask": padding(6, 6, 3)}
BOTH: Inputs = {
    "text_config": {**TEXT_SIZES, "num_attention_heads": 2},
    "vision_config": {**SIZES, "hidden_size": 40},
}
PAIRS: Inputs = {**PADDED, **IMAGES}


def text_calls() -> list[Call]:
    """Texts, padding, positions."""
    return [
        call("plain", {**TEXTS, **EVERYTHING}),
        call("padding", {**PADDED, **EVERYTHING}),
        call("positions", {**TEXTS, "position_ids": ints([[5, 4, 3, 2, 1, 0]])}),
    ]


def pair_calls() -> list[Call]:
    """Similarities, their loss, images of another size, the halves alone."""
    image = {"pixel_values": WIDE["pixel_values"], "interpolate_pos_encoding": True}
    return [
        call("loss", {**PAIRS, "return_loss": True, **EVERYTHING}, gradients=True),
        call("plain", {**TEXTS, **image}),
        call("texts", PADDED, method="get_text_features"),
        call("images", image, method="get_image_features"),
    ]
