"""Golden cases of Idefics2."""

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
    "image_size": 20,
    "patch_size": 4,
}
PERCEIVER: Inputs = {
    "resampler_n_latents": 3,
    "resampler_depth": 2,
    "resampler_n_heads": 4,
    "resampler_head_dim": 6,
    "num_key_value_heads": 2,
}
family = Family(
    "models-vision",
    "idefics2",
    "Idefics2Config",
    {
        "text_config": {**TEXT_SIZES, "model_type": "mistral", "sliding_window": 32},
        "vision_config": VISION,
        "perceiver_config": PERCEIVER,
        "image_token_id": IMAGE,
    },
)


SEEN = [IMAGE] * 3
ONE = [1, *SEEN, 7, 8]
TWO = [1, 9, *SEEN, 10, *SEEN, 11]
GROUPS = [(16, 12)], [(8, 24), (28, 20)]
several = {**texts(ONE, TWO), **shown(*GROUPS)}
shifted = {**texts(ONE, TWO, left=True), **shown(*GROUPS)}
single = {**texts(ONE), **shown([(20, 20)])}
both = {**texts(TWO), **shown([(12, 20), (16, 16)])}
pair = {**texts(ONE, [1, *SEEN, 12], left=True), **shown([(18, 13)], [(8, 9)])}
unmasked = {**texts(ONE), "pixel_values": floats("whole", 1, 1, 3, 24, 16)}
ready = {**texts(ONE), "image_hidden_states": floats("ready", 1, 3, WIDTH)}
more = [
    {"input_ids": ints([[5]]), "attention_mask": ones(1, 7)},
    {"input_ids": ints([[6]]), "attention_mask": ones(1, 8)},
]
family.case(
    "Idefics2Model",
    [
        call("several", {**several, **EVERYTHING}),
        call("parts-of-patches", pair),
        call("unmasked", unmasked),
        call("ready", ready),
        call("text", texts([1, 5, 6, 7])),
    ],
)
family.case(
    "Idefics2ForConditionalGeneration",
    [
        call("loss", {**several, "labels": labels_of(several, ()), **EVERYTHING}, gradients=True),
        call("left-padding", {**shifted, "labels": shifted["input_ids"]}, blank="attention_mask"),
        call("last", {**single, "num_logits_to_keep": 1}),
        continued(single, *more),
        *writing_calls(single, pair),
        *writing_calls(both, shifted, beams=False, prefix="several-"),
    ],
)
