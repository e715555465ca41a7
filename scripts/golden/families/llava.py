"""Golden cases of LLaVA."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, call, floats, ints, ones
from vision_language_cases import (
    IMAGE,
    TEXT_SIZES,
    VISION_SIZES,
    continued,
    labels_of,
    pictures,
    texts,
    writing_calls,
)

family = Family(
    package="models-vision",
    model_type="llava",
    config_class="LlavaConfig",
    sizes={
        "text_config": TEXT_SIZES,
        "vision_config": VISION_SIZES,
        "image_token_index": IMAGE,
        "image_seq_length": 4,
    },
)
SEEN = [IMAGE] * 4
ONE = [1, *SEEN, 7, 8]
TWO = [1, 9, *SEEN, 10, *SEEN, 11]
several = {**texts(ONE, TWO), "pixel_values": pictures("images", 3, 3, 8, 8)}
shifted = {**texts(ONE, TWO, left=True), "pixel_values": pictures("images", 3, 3, 8, 8)}
single = {**texts(ONE), "pixel_values": pictures("image", 1, 3, 8, 8)}
# With padding the reference goes on wrongly: it attends to it.
pair = {**texts(ONE, [1, 5, *SEEN, 12]), "pixel_values": pictures("pair", 2, 3, 8, 8)}
both = {**texts(TWO), "pixel_values": pictures("both", 2, 3, 8, 8)}
twice = {
    **texts(TWO, [1, *SEEN, *SEEN, 9, 10, 11]),
    "pixel_values": pictures("twice", 4, 3, 8, 8),
}
family.case(
    "LlavaForConditionalGeneration",
    [
        call("loss", {**several, "labels": labels_of(several), **EVERYTHING}, gradients=True),
        call("left-padding", {**shifted, "labels": labels_of(shifted)}, blank="attention_mask"),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH)}),
        call("last", {**single, "num_logits_to_keep": 1}),
        call("layer", {**single, "vision_feature_layer": -1}),
        continued(
            single,
            {"input_ids": ints([[5]]), "attention_mask": ones(1, 8)},
            {"input_ids": ints([[6]]), "attention_mask": ones(1, 9)},
        ),
        *writing_calls(single, pair),
        *writing_calls(both, twice, beams=False, prefix="several-"),
    ],
)
whole = {
    **texts([1, *[IMAGE] * 5, 7, 8]),
    "pixel_values": pictures("image", 1, 3, 8, 8),
}
family.case(
    "LlavaForConditionalGeneration",
    [
        call("loss", {**whole, "labels": labels_of(whole)}, gradients=True),
        call("greedy", {**whole, "do_sample": False, "max_new_tokens": 4}, method="generate"),
    ],
    "full",
    vision_feature_select_strategy="full",
    vision_feature_layer=-1,
    projector_hidden_act="relu",
    image_seq_length=5,
    text_config={**TEXT_SIZES, "model_type": "mistral", "sliding_window": 6},
    vision_config={**VISION_SIZES, "num_hidden_layers": 1},
)
shown = [floats("tall", 3, 32, 16), floats("wide", 3, 8, 24)]
sized = {**texts([1, *[IMAGE] * 8, 7, *[IMAGE] * 3, 8]), "pixel_values": shown}
family.case(
    "LlavaForConditionalGeneration",
    [
        call("loss", {**sized, "labels": labels_of(sized), **EVERYTHING}, gradients=True),
        call("greedy", {**sized, "do_sample": False, "max_new_tokens": 4}, method="generate"),
    ],
    "pixtral",
    vision_feature_select_strategy="full",
    vision_feature_layer=-1,
    image_seq_length=1,
    text_config={**TEXT_SIZES, "model_type": "mistral"},
    vision_config={
        "model_type": "pixtral",
        "hidden_size": 24,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    },
)
