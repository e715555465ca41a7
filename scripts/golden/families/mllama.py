"""Golden cases of Llama 3.2 Vision and its parts."""

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
    token_ids,
    values,
)
from llama_cases import SIZES
from vision_language_cases import uncached

CONFIGS = "models.mllama.configuration_mllama."
TEXT: Inputs = {
    **SIZES,
    "num_hidden_layers": 3,
    "cross_attention_layers": [1],
    "rope_scaling": {"rope_type": "default"},
}
VISION: Inputs = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_global_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "vision_output_dim": 24 * 3,
    "image_size": 8,
    "patch_size": 4,
    "norm_eps": 0.01,
    "intermediate_layers_indices": [0, 2],
}
IMAGE = 99
TILES: Inputs = {
    "pixel_values": floats("tiles", 2, 2, 4, 3, 8, 8),
    "aspect_ratio_ids": ints([[1, 6], [3, 0]]),
    "aspect_ratio_mask": ints([[[1, 0, 0, 0], [1, 1, 1, 1]], [[1, 1, 1, 0], [1, 0, 0, 0]]]),
}
WORDS = [[1, IMAGE, 7, 8, IMAGE, 9, 10], [0, 0, 1, 11, IMAGE, 12, 13]]
MASK = [[1] * 7, [0, 0, 1, 1, 1, 1, 1]]
FIRST, SECOND, NONE = [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]
SEEN = [
    [[NONE, NONE], *[[FIRST, NONE]] * 3, *[[FIRST, SECOND]] * 3],
    [*[[NONE, NONE]] * 4, *[[[1, 1, 1, 0], NONE]] * 3],
]
READ: Inputs = {
    "input_ids": ints(WORDS),
    "attention_mask": ints(MASK),
    "cross_attention_mask": ints(SEEN),
    **TILES,
}
LABELS = [
    [-100 if token in (0, IMAGE) else token for token in row] for row in WORDS
]  # the padding and the pictures are no words
CROSS: Inputs = {
    "cross_attention_states": floats("states", 2, 6, 32),
    "cross_attention_mask": values(
        [[[[0.0] * 6] * 2 + [[0.0, 0.0, 0.0, -99.0, -99.0, -99.0]] * 5], [[[0.0] * 6] * 7]]
    ),
    "full_text_row_masked_out_mask": values([[[[0.0]] * 2 + [[1.0]] * 5], [[[1.0]] * 7]]),
}


def writing(**more: Any) -> Inputs:
    """Arguments of ``generate``, the pictures included."""
    common = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": 6, "min_new_tokens": 6}
    return {**READ, **common, **more}


family = Family(
    "models-vision",
    "mllama",
    "MllamaConfig",
    {"text_config": TEXT, "vision_config": VISION, "image_token_index": IMAGE},
)
family.part(
    "MllamaVisionModel",
    f"{CONFIGS}MllamaVisionConfig",
    VISION,
    [call("tiles", {**TILES, "output_hidden_states": True})],
)
crossed = {"input_ids": token_ids("plain", 2, 7), "use_cache": False, **CROSS, **EVERYTHING}
family.part(
    "MllamaTextModel",
    f"{CONFIGS}MllamaTextConfig",
    TEXT,
    [*uncached(decoder_calls()), call("pictures", crossed)],
)
labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
family.part(
    "MllamaForCausalLM",
    f"{CONFIGS}MllamaTextConfig",
    TEXT,
    [*uncached(causal_lm_calls()), call("pictures", {**crossed, "labels": labels}, gradients=True)],
)
family.case(
    "MllamaForConditionalGeneration",
    [
        call(
            "pictures",
            {**READ, "labels": ints(LABELS), "use_cache": False, **EVERYTHING},
            blank="attention_mask",
            gradients=True,
        ),
        call(
            "all-seen",
            {"input_ids": ints(WORDS), "use_cache": False, **TILES},
        ),
        call("text", {"input_ids": token_ids("plain", 2, 7), "use_cache": False}),
        call("writing", writing(), method="generate"),
        call(
            "writing-scores",
            writing(return_dict_in_generate=True, output_logits=True),
            method="generate",
        ),
        call("beams", writing(num_beams=2), method="generate"),
    ],
)
