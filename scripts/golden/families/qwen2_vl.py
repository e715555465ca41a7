"""Golden cases of Qwen2-VL."""

from __future__ import annotations

from typing import Any

from cases import (
    EVERYTHING,
    Family,
    Inputs,
    call,
    causal_lm_calls,
    decoder_calls,
    floats,
    ints,
)
from llama_cases import SIZES
from vision_language_cases import uncached

START, END, IMAGE, VIDEO = 99, 100, 101, 102
VISION = {
    "depth": 2,
    "embed_dim": 32,
    "hidden_size": 32,
    "num_heads": 4,
    "mlp_ratio": 2,
    "patch_size": 4,
}
OWN: Inputs = {
    "vocab_size": 103,
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    "vision_config": VISION,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
}
PATCH = 3 * 2 * 4 * 4
TEXTS = [
    [START, *[IMAGE] * 4, END, 7, 8, START, *[IMAGE] * 3, END, 9, 10],
    [0, 0, 0, 11, START, *[VIDEO] * 4, END, START, *[IMAGE] * 1, END, 12, 13],
]
MASK = [[1] * 15, [0] * 3 + [1] * 12]
POSITIONS = [
    [
        [0, 1, 1, 1, 1, 3, 4, 5, 6, 7, 7, 7, 10, 11, 12],
        [1, 1, 1, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9],
    ],
    [
        [0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 7, 7, 10, 11, 12],
        [1, 1, 1, 0, 1, 2, 3, 2, 3, 4, 5, 6, 7, 8, 9],
    ],
    [
        [0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        [1, 1, 1, 0, 1, 2, 2, 2, 2, 4, 5, 6, 7, 8, 9],
    ],
]
PICTURES: Inputs = {
    "pixel_values": floats("images", 16 + 12 + 4, PATCH),
    "image_grid_thw": ints([[1, 4, 4], [1, 2, 6], [1, 2, 2]]),
    "pixel_values_videos": floats("videos", 16, PATCH),
    "video_grid_thw": ints([[2, 4, 2]]),
}
READ: Inputs = {"input_ids": ints(TEXTS), "attention_mask": ints(MASK), **PICTURES}
LABELS = [[-100 if token > 98 or not kept else token for token, kept in zip(*row, strict=True)]
          for row in zip(TEXTS, MASK, strict=True)]  # fmt: skip


def pictured(**more: Any) -> Inputs:
    """The texts with pictures and `more` arguments."""
    return {**READ, **more}


def writing(**more: Any) -> Inputs:
    """Arguments of ``generate``, the pictures included."""
    return pictured(do_sample=False, pad_token_id=0, max_new_tokens=8, min_new_tokens=8, **more)


family = Family("models-vision", "qwen2_vl", "Qwen2VLConfig", {**SIZES, **OWN})
three = ints([[[0, 1, 2, 2, 3]] * 2, [[0, 1, 2, 3, 4]] * 2, [[4, 3, 2, 1, 0]] * 2])
turned = call("turned", {"inputs_embeds": floats("turned", 2, 5, 32), "position_ids": three})
family.case("Qwen2VLModel", uncached([*decoder_calls(), turned]))
family.case(
    "Qwen2VLForConditionalGeneration",
    [
        call(
            "pictures",
            pictured(
                use_cache=False, labels=ints(LABELS), position_ids=ints(POSITIONS), **EVERYTHING
            ),
            blank="attention_mask",
            gradients=True,
        ),
        call("without-positions", pictured(use_cache=False), blank="attention_mask"),
        call("writing", writing(), method="generate"),
        call(
            "writing-scores",
            writing(return_dict_in_generate=True, output_logits=True),
            method="generate",
        ),
        *uncached(causal_lm_calls()),
    ],
)
family.case(
    "Qwen2VLForConditionalGeneration",
    [
        call(
            "pictures",
            pictured(use_cache=False, position_ids=ints(POSITIONS)),
            blank="attention_mask",
        )
    ],
    "tied",
    tie_word_embeddings=True,
    vision_config={**VISION, "hidden_act": "gelu"},
)
