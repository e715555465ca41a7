"""Golden cases of BLIP-2."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, padding, token_ids, values
from patch_cases import IMAGES, WIDE
from query_cases import (
    OPT,
    PARTS,
    PLACE,
    QFORMER,
    QUERIES,
    T5,
    VISION,
    encoding_calls,
    qformer_states,
    texts,
    writing_calls,
)

family = Family("models-vision", "blip-2", "Blip2Config", {**PARTS, "image_text_hidden_size": 20})
READING = {**QFORMER, "use_qformer_text_input": True}
RESAMPLED = {**WIDE, "interpolate_pos_encoding": True}
ASKED = {
    "input_ids": token_ids("asked", 2, 6, low=5, high=60),
    "attention_mask": padding(6, 6, 4),
}
HEADS = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.0]])

calls = writing_calls(IMAGES, QUERIES)[:-1]  # without a text the reference forgets the places
family.case("Blip2ForConditionalGeneration", calls, image_token_index=PLACE)
family.case("Blip2ForConditionalGeneration", writing_calls(IMAGES, 0), "in-front")
plain = {"text_config": T5}
family.case("Blip2ForConditionalGeneration", encoding_calls(IMAGES, 0), "t5", **plain)
family.case(
    "Blip2ForConditionalGeneration",
    encoding_calls(IMAGES, QUERIES)[:3],
    "t5-places",
    image_token_index=PLACE,
    **plain,
)
family.case(
    "Blip2Model",
    [
        writing_calls(IMAGES, 0)[0],
        call("wide", {**RESAMPLED, "input_ids": token_ids("wide", 1, 4)}),
        call("texts", texts(0), method="get_text_features"),
        call("images", {**RESAMPLED, **EVERYTHING}, method="get_image_features"),
        call("queries", {**IMAGES, **EVERYTHING}, method="get_qformer_features"),
    ],
    text_config={**OPT, "tie_word_embeddings": False},
)
family.case("Blip2Model", encoding_calls(IMAGES, 0)[:2], "t5", **plain)
family.case(
    "Blip2ForImageTextRetrieval",
    [
        call("similarity", {**IMAGES, **ASKED, **EVERYTHING}),
        call("matching", {**IMAGES, **ASKED, "use_image_text_matching_head": True, **EVERYTHING}),
    ],
    qformer_config=READING,
)
family.case(
    "Blip2TextModelWithProjection",
    [
        call("plain", {**ASKED, **EVERYTHING}),
        call(
            "positions",
            {"input_ids": ASKED["input_ids"], "position_ids": {"ints": [[5, 4, 3, 2, 1, 0]]}},
        ),
    ],
    qformer_config=READING,
)
family.case("Blip2VisionModelWithProjection", [call("plain", {**IMAGES, **EVERYTHING})])
family.part(
    "Blip2QFormerModel",
    "Blip2QFormerConfig",
    {**READING, "encoder_hidden_size": 40},
    [
        call(
            "queries",
            {"query_embeds": floats("queries", 2, 3, 24), **qformer_states(), **EVERYTHING},
        ),
        call(
            "both",
            {
                "query_embeds": floats("queries", 2, 7, 24),
                "query_length": 3,
                "attention_mask": padding(7, 7, 5),
                **qformer_states(),
                **EVERYTHING,
            },
        ),
        call("text", {"query_embeds": floats("queries", 2, 7, 24), "query_length": 0}),
        call(
            "head-mask",
            {"query_embeds": floats("queries", 2, 3, 24), "head_mask": HEADS, **qformer_states()},
        ),
    ],
)
family.part(
    "Blip2VisionModel",
    "Blip2VisionConfig",
    {**VISION, "qkv_bias": False},
    [call("plain", {**IMAGES, **EVERYTHING}), call("wide", RESAMPLED)],
)
