"""Golden cases of PaliGemma."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, Inputs, call, floats, ints, ones
from vision_language_cases import (
    IMAGE,
    TEXT_SIZES,
    labels_of,
    pictures,
    texts,
    writing_calls,
)

VISION: Inputs = {
    "model_type": "siglip_vision_model",
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
    "vision_use_head": False,
}
family = Family(
    "models-vision",
    "paligemma",
    "PaliGemmaConfig",
    {
        "text_config": {**TEXT_SIZES, "model_type": "gemma", "head_dim": 8},
        "vision_config": VISION,
        "image_token_index": IMAGE,
        "projection_dim": WIDTH,
        "hidden_size": 48,
        "pad_token_id": 0,
    },
)
SEEN = [IMAGE] * 4
ONE = [*SEEN, 1, 7, 8]
TWO = [*SEEN, *SEEN, 1, 9, 10]
several = {**texts(ONE, TWO), "pixel_values": pictures("several", 3, 3, 8, 8)}
shifted = {**texts(ONE, TWO, left=True), "pixel_values": pictures("several", 3, 3, 8, 8)}
single = {**texts(ONE), "pixel_values": pictures("image", 1, 3, 8, 8)}
both = {**texts(TWO), "pixel_values": pictures("both", 2, 3, 8, 8)}
pair = {**texts(ONE, [*SEEN, 12], left=True), "pixel_values": pictures("pair", 2, 3, 8, 8)}
taught = {
    **texts([*ONE, 11, 12, 13], [*SEEN, 1, 9, 14, 15, 16, 17]),
    "pixel_values": pictures("taught", 2, 3, 8, 8),
    "token_type_ids": ints([[0] * 7 + [1] * 3, [0] * 6 + [1] * 4]),
}
family.case(
    "PaliGemmaForConditionalGeneration",
    [
        call("suffix", {**taught, "labels": labels_of(taught), **EVERYTHING}, gradients=True),
        call("prefix", {**several, "labels": labels_of(several), **EVERYTHING}),
        call("padded-labels", {**several, "labels": several["input_ids"]}),
        call("left-padding", shifted, blank="attention_mask"),
        call(
            "embeds",
            {"inputs_embeds": floats("embeds", 2, 5, WIDTH), "attention_mask": ones(2, 5)},
        ),
        call("last", {**single, "num_logits_to_keep": 1}),
        *writing_calls(single, pair),
        *writing_calls(both, shifted, beams=False, prefix="several-"),
    ],
)
