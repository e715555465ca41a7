"""Golden cases of a picture's encoder with a text's decoder."""

from __future__ import annotations

from cases import WIDTH, Family, call
from pair_cases import BERT, DECODER, GPT2, TARGET, TOKENS, continuation, generation, pair_calls
from patch_cases import IMAGES, SIZES, WIDE

MODEL = "VisionEncoderDecoderModel"
VIT = {**SIZES, "model_type": "vit", "hidden_size": 40}
SWIN = {
    "model_type": "swin",
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": WIDTH // 2,
    "depths": [1, 1],
    "num_heads": [2, 4],
    "window_size": 4,
}
WIDE_TARGET = {"decoder_input_ids": {"ints": [TARGET["decoder_input_ids"]["ints"][0]]}}

family = Family(
    "models-vision",
    "vision-encoder-decoder",
    "VisionEncoderDecoderConfig",
    {"encoder": VIT, "decoder": {**BERT, **DECODER}, **TOKENS},
)
family.case(
    MODEL,
    [
        *pair_calls(IMAGES, 40),
        call("wide", {**WIDE, **WIDE_TARGET, "interpolate_pos_encoding": True, "use_cache": False}),
        continuation(IMAGES),
        *generation(IMAGES),
    ],
)
family.case(
    MODEL,
    [*pair_calls(IMAGES, WIDTH)[:2], *generation(IMAGES)],
    "swin-gpt2",
    encoder=SWIN,
    decoder={**GPT2, **DECODER},
)
