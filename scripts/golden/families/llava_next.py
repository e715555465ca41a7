"""Golden cases of LLaVA-NeXT."""

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
    model_type="llava_next",
    config_class="LlavaNextConfig",
    sizes={
        "text_config": TEXT_SIZES,
        "vision_config": VISION_SIZES,
        "image_token_index": IMAGE,
        "image_seq_length": 1,
        "image_grid_pinpoints": [[8, 16], [16, 8], [16, 16], [24, 8]],
    },
)
FLAT, TALL, SMALL, LONG = [10, 20], [20, 9], [7, 9], [12, 30]
"""Heights and widths of pictures, which take 14, 16, 10 and 14 tokens and have at most 4 tiles."""


def seen(seed: str, *sizes: list[int]) -> dict[str, object]:
    """Tiles of pictures of these `sizes`."""
    return {"pixel_values": pictures(seed, len(sizes), 4, 3, 8, 8), "image_sizes": ints([*sizes])}


ONE = [1, *[IMAGE] * 14, 7, 8]
THREE = [1, *[IMAGE] * 16, 5], [1, *[IMAGE] * 10, 6, *[IMAGE] * 14, 9]
several = {**texts(*THREE), **seen("images", TALL, SMALL, FLAT)}
shifted = {**texts(*THREE, left=True), **seen("images", TALL, SMALL, FLAT)}
single = {**texts(ONE), **seen("image", FLAT)}
pair = {**texts(ONE, [1, 5, *[IMAGE] * 14, 12]), **seen("pair", FLAT, LONG)}
both = {**texts(THREE[1]), **seen("both", SMALL, FLAT)}
flat = {**texts(ONE), "pixel_values": pictures("flat", 3, 3, 8, 8), "image_sizes": ints([FLAT])}
family.case(
    "LlavaNextForConditionalGeneration",
    [
        call("loss", {**several, "labels": labels_of(several), **EVERYTHING}, gradients=True),
        call("left-padding", {**shifted, "labels": labels_of(shifted)}, blank="attention_mask"),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH)}),
        call("last", {**single, "num_logits_to_keep": 1}),
        call("tiles", flat),
        call("layer", {**single, "vision_feature_layer": -1}),
        continued(
            single,
            {"input_ids": ints([[5]]), "attention_mask": ones(1, 18)},
            {"input_ids": ints([[6]]), "attention_mask": ones(1, 19)},
        ),
        *writing_calls(single, pair),
        *writing_calls(both, both, beams=False, prefix="several-"),
    ],
)
family.case(
    "LlavaNextForConditionalGeneration",
    [
        call("loss", {**several, "labels": labels_of(several)}, gradients=True),
        call("greedy", {**single, "do_sample": False, "max_new_tokens": 4}, method="generate"),
    ],
    "mistral",
    projector_hidden_act="relu",
    vision_feature_layer=1,
    tie_word_embeddings=True,
    text_config={**TEXT_SIZES, "model_type": "mistral", "sliding_window": 9},
)
