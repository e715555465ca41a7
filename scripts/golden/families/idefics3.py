"""Golden cases of Idefics3."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, Inputs, call, floats, ints, ones
from vision_language_cases import (
    IMAGE,
    TEXT_SIZES,
    continued,
    labels_of,
    shown,
    texts,
    writing_calls,
)

VISION: Inputs = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 16,
    "patch_size": 4,
}
family = Family(
    "models-vision",
    "idefics3",
    "Idefics3Config",
    {
        "text_config": TEXT_SIZES,
        "vision_config": VISION,
        "image_token_id": IMAGE,
        "pad_token_id": 0,
    },
)
SEEN = [IMAGE] * 4
TILED = [1, 9, *SEEN, 10, *SEEN, 11]
ONE = [1, *SEEN, 7, 8]
TILE = (16, 16)
several = {**texts(ONE, TILED), **shown([TILE], [TILE, TILE])}
shifted = {**texts(ONE, TILED, left=True), **shown([TILE], [TILE, TILE])}
single = {**texts(ONE), **shown([TILE])}
tiled = {**texts(TILED), **shown([TILE, TILE])}
pair = {**texts(ONE, [1, *SEEN, 12], left=True), **shown([TILE], [(13, 9)])}
unmasked = {**texts(ONE), "pixel_values": floats("whole", 1, 1, 3, 16, 16)}
ready = {**texts(ONE), "image_hidden_states": floats("ready", 1, 4, WIDTH)}
more = [
    {"input_ids": ints([[5]]), "attention_mask": ones(1, 8)},
    {"input_ids": ints([[6]]), "attention_mask": ones(1, 9)},
]
family.case(
    "Idefics3Model",
    [
        call("several", {**several, **EVERYTHING}),
        call("parts-of-patches", pair),
        call("unmasked", unmasked),
        call("ready", ready),
        call("text", texts([1, 5, 6, 7])),
    ],
)
family.case(
    "Idefics3ForConditionalGeneration",
    [
        call("loss", {**several, "labels": labels_of(several, ()), **EVERYTHING}, gradients=True),
        call("left-padding", {**shifted, "labels": shifted["input_ids"]}, blank="attention_mask"),
        continued(single, *more),
        *writing_calls(single, pair),
        *writing_calls(tiled, shifted, beams=False, prefix="several-"),
    ],
)
whole = {**texts([1, IMAGE, 7, 8]), **shown([TILE])}
family.case(
    "Idefics3ForConditionalGeneration",
    [
        call("loss", {**whole, "labels": whole["input_ids"]}, gradients=True),
        call("greedy", {**whole, "do_sample": False, "max_new_tokens": 4}, method="generate"),
    ],
    "one-token",
    scale_factor=4,
    text_config={**TEXT_SIZES, "model_type": "mistral", "sliding_window": 3},
)
