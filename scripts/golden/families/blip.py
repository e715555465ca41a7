"""Golden cases of BLIP."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, call, floats, ints, padding, token_ids
from patch_cases import IMAGES, SIZES, WIDE
from tower_cases import PADDED, pair_calls

TEXT = {
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 24,
    "bos_token_id": 97,
    "sep_token_id": 98,
}
VISION = {**SIZES, "hidden_size": 40}
RESAMPLED = {**WIDE, "interpolate_pos_encoding": True}
LABELS = ints([[-100, 6, 7, 8, 9], [-100, 11, 12, -100, -100]])
ANSWERS = ints([[97, 6, 7, 98], [97, 11, 98, 0]])
ENDED = {
    "input_ids": ints([[96, 5, 6, 98], [96, 7, 8, 98]]),
    "attention_mask": padding(4, 4, 4),
}
SEEN = {"encoder_hidden_states": floats("seen", 2, 5, 40)}

family = Family(
    "models-vision",
    "blip",
    "BlipConfig",
    {
        "text_config": TEXT,
        "vision_config": VISION,
        "projection_dim": 24,
        "image_text_hidden_size": 20,
    },
)
pairs = pair_calls()
family.case("BlipModel", pairs[:1], "encoder", text_config={**TEXT, "is_decoder": False})
for pair in pairs:  # a decoder without pictures records its keys as attention to them
    pair.steps = [{**step} for step in pair.steps]
    pair.steps[0].pop("output_attentions", None)
both = call("both", {**PADDED, **IMAGES}, method="get_multimodal_features")
family.case("BlipModel", [*pairs, both])
writing = {**IMAGES, "input_ids": token_ids("caption", 2, 5), "attention_mask": padding(5, 5, 3)}
greedy = {**IMAGES, "do_sample": False, "max_new_tokens": 8}
beams = {"num_beams": 3, "return_dict_in_generate": True, "output_scores": True}
family.case(
    "BlipForConditionalGeneration",
    [
        call("loss", {**writing, "labels": LABELS, **EVERYTHING}, gradients=True),
        call("wide", {**RESAMPLED, "input_ids": token_ids("wide", 1, 4)}),
        call("caption", greedy, method="generate"),
        call("begun", {**greedy, **ENDED}, method="generate"),
        call("beams", {**greedy, **ENDED, **beams}, method="generate"),
    ],
)
family.case(
    "BlipForConditionalGeneration",
    [call("loss", {**writing, "labels": LABELS}, gradients=True)],
    "smoothed",
    text_config={**TEXT, "label_smoothing": 0.1, "hidden_act": "relu"},
)
question = {**PADDED, **IMAGES}
family.case(
    "BlipForQuestionAnswering",
    [
        call("loss", {**question, "labels": ANSWERS, **EVERYTHING}, gradients=True),
        call("decoded", {**question, "decoder_input_ids": ANSWERS, "labels": ANSWERS}),
        call("answer", {**greedy, **PADDED}, method="generate"),
        call("beams", {**greedy, **PADDED, **beams}, method="generate"),
    ],
    vision_config={**VISION, "hidden_size": WIDTH},
)
family.case(
    "BlipForImageTextRetrieval",
    [
        call("matching", {**question, **EVERYTHING}),
        call("similarity", {**question, "use_itm_head": False}),
    ],
)
family.part(
    "BlipTextModel",
    "BlipTextConfig",
    {**TEXT, "encoder_hidden_size": 40},
    [
        call("plain", {**PADDED, "output_hidden_states": True}),
        call("seen", {**PADDED, **SEEN, "encoder_attention_mask": padding(5, 5, 3), **EVERYTHING}),
        call("causal", {**PADDED, **SEEN, "is_decoder": True, "use_cache": False}),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, WIDTH)}),
        call("ready", {"encoder_embeds": floats("embeds", 2, 5, WIDTH)}),
    ],
)
family.part(
    "BlipVisionModel",
    "BlipVisionConfig",
    VISION,
    [call("plain", {**IMAGES, **EVERYTHING}), call("wide", RESAMPLED)],
)
