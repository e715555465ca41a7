"""Golden cases of an encoder of text with a decoder of text."""

from __future__ import annotations

from cases import Family, padded, padding
from pair_cases import BERT, DECODER, GPT2, TOKENS, continuation, generation, pair_calls

MODEL = "EncoderDecoderModel"
ENCODER = {**BERT, "hidden_size": 40}
SOURCE = padded("source", padding(7, 7, 4))

family = Family(
    "models-text",
    "encoder-decoder",
    "EncoderDecoderConfig",
    {"encoder": ENCODER, "decoder": {**BERT, **DECODER}, **TOKENS},
)
calls = pair_calls(SOURCE, 40)
family.case(MODEL, [*calls, continuation(SOURCE), *generation(SOURCE)])
family.case(MODEL, [calls[0], *generation(SOURCE)], "gpt2", decoder={**GPT2, **DECODER})
family.case(MODEL, calls[:1], "tied", encoder=BERT, tie_encoder_decoder=True)
