"""Golden cases of InstructBLIP for videos."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, padding
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

FRAMES = 4
VIDEOS = {"pixel_values": floats("videos", 2, FRAMES, 3, 32, 32), **asked()}
MODEL = "InstructBlipVideoForConditionalGeneration"

family = Family(
    "models-vision",
    "instructblipvideo",
    "InstructBlipVideoConfig",
    {**PARTS, "text_config": {**OPT, "architectures": ["OPTForCausalLM"]}},
)
places = QUERIES * FRAMES
family.case(MODEL, writing_calls(VIDEOS, places)[:-1], video_token_index=PLACE)
family.case(MODEL, writing_calls(VIDEOS, 0), "in-front")
T5_CLASS = {**T5, "architectures": ["T5ForConditionalGeneration"]}
family.case(
    MODEL, encoding_calls(VIDEOS, places), "t5", video_token_index=PLACE, text_config=T5_CLASS
)
family.part(
    "InstructBlipVideoQFormerModel",
    "InstructBlipVideoQFormerConfig",
    {**QFORMER, "encoder_hidden_size": 40},
    [
        call(
            "both",
            {
                "query_embeds": floats("queries", 2, 3, 24),
                "input_ids": asked()["qformer_input_ids"],
                "attention_mask": padding(9, 9, 7),
                **qformer_states(),
                **EVERYTHING,
            },
        ),
    ],
)
family.part(
    "InstructBlipVideoVisionModel",
    "InstructBlipVideoVisionConfig",
    VISION,
    [
        call("plain", {**IMAGES, **EVERYTHING}),
        call("wide", {**WIDE, "interpolate_pos_encoding": True}),
    ],
)
