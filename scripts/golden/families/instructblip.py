"""Golden cases of InstructBLIP."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, Family, call, floats, ints, padding, values
from patch_cases import IMAGES, WIDE
from query_cases import (
    OPT,
    PARTS,
    PLACE,
    QFORMER,
    QUERIES,
    T5,
    VISION,
    asked,
    encoding_calls,
    qformer_states,
    writing_calls,
)

family = Family("models-vision", "instructblip", "InstructBlipConfig", PARTS)
MODEL = "InstructBlipForConditionalGeneration"
SEEN = {**IMAGES, **asked()}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "architectures": ["LlamaForCausalLM"],
}
QUERY = {"query_embeds": floats("queries", 2, 3, 24)}
HEADS = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.0]])


def named(text: dict[str, Any], name: str) -> dict[str, Any]:
    """The config of a language model that says which class it is of."""
    return {**text, "architectures": [name]}


calls = writing_calls(SEEN, QUERIES)[:-1]  # without a text the reference forgets the places
family.case(MODEL, calls, image_token_index=PLACE, text_config=LLAMA)
wide = {**WIDE, **asked(1), "input_ids": {"ints": [[5, 6, 7]]}, "interpolate_pos_encoding": True}
family.case(
    MODEL,
    [*writing_calls(SEEN, 0), call("wide", wide)],
    "in-front",
    text_config=named(OPT, "OPTForCausalLM"),
)
family.case(
    MODEL,
    encoding_calls(SEEN, QUERIES),
    "t5",
    image_token_index=PLACE,
    text_config=named(T5, "T5ForConditionalGeneration"),
)
family.case(
    MODEL,
    encoding_calls(SEEN, 0)[:3],
    "t5-in-front",
    text_config=named(T5, "T5ForConditionalGeneration"),
)
rows = [[1, 1, *[PLACE] * 3, 2, 5, 6, 7, 8], [*[PLACE] * 3, 2, 7, *[PLACE] * 3, 8, 9]]
several = {
    "pixel_values": floats("several", 3, 3, 32, 32),
    **asked(3),
    "input_ids": ints(rows),
    "attention_mask": padding(10, 8, 10, left=True),
    "labels": ints([[-100] * 6 + [5, 6, 7, 8], [-100] * 8 + [8, 9]]),
}
family.case(
    MODEL,
    [call("loss", several)],
    "several",
    image_token_index=PLACE,
    text_config=LLAMA,
)
family.part(
    "InstructBlipQFormerModel",
    "InstructBlipQFormerConfig",
    {**QFORMER, "encoder_hidden_size": 40},
    [
        call(
            "both",
            {
                **QUERY,
                "input_ids": asked()["qformer_input_ids"],
                "attention_mask": padding(9, 9, 7),
                **qformer_states(),
                **EVERYTHING,
            },
        ),
        call(
            "head-mask",
            {
                **QUERY,
                "input_ids": asked()["qformer_input_ids"],
                "head_mask": HEADS,
                **qformer_states(),
            },
        ),
        call("text", {"input_ids": asked()["qformer_input_ids"]}),
    ],
)
family.part(
    "InstructBlipVisionModel",
    "InstructBlipVisionConfig",
    VISION,
    [
        call("plain", {**IMAGES, **EVERYTHING}),
        call("wide", {**WIDE, "interpolate_pos_encoding": True}),
    ],
)
