"""Golden cases of Whisper."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Family,
    Inputs,
    call,
    continuations,
    floats,
    generation_calls,
    ints,
    padding,
    token_ids,
    values,
)

SIZES: Inputs = {
    "vocab_size": 99,
    "num_mel_bins": 6,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "max_source_positions": 9,
    "max_target_positions": 20,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
    "begin_suppress_tokens": None,
    "classifier_proj_size": 11,
}
SOUNDS: Inputs = {"input_features": floats("energies", 2, 6, 18)}
TARGET: Inputs = {**SOUNDS, "decoder_input_ids": token_ids("target", 2, 4)}
ENCODED: Inputs = {"encoder_outputs": {"tuple": [floats("encoded", 2, 9, WIDTH)]}}
PAST: Inputs = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
HEADS: Inputs = {
    "head_mask": values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]]),
    "decoder_head_mask": values([[0.5, 1.0], [1.0, 0.0]]),
    "cross_attn_head_mask": values([[0.25, 0.0], [0.0, 1.0]]),
}
STEPS = [
    {**ENCODED, "decoder_input_ids": token_ids("target", 2, 4), "use_cache": True},
    {**ENCODED, "decoder_input_ids": token_ids("more", 2, 2), **PAST},
    {**ENCODED, "decoder_input_ids": token_ids("last", 2, 1), **PAST, **EVERYTHING},
]

family = Family("models-audio", "whisper", "WhisperConfig", SIZES)
family.case(
    "WhisperModel",
    [
        call("plain", {**TARGET, "use_cache": True, **EVERYTHING}),
        call("padding", {**TARGET, "decoder_attention_mask": padding(4, 4, 2)}),
        call("no-cache", {**TARGET, "use_cache": False}),
        call("embeds", {**SOUNDS, "decoder_inputs_embeds": floats("decoder", 2, 3, WIDTH)}),
        call("positions", {**TARGET, "decoder_position_ids": ints([[0, 1, 2, 3], [2, 3, 7, 19]])}),
        call("head-masks", {**TARGET, **HEADS, **EVERYTHING}),
        call("continuation", *STEPS),
    ],
)
family.case(
    "WhisperModel",
    [call("plain", {**TARGET, **EVERYTHING})],
    "scaled",
    scale_embedding=True,
    activation_function="relu",
    decoder_layers=3,
)
family.case(
    "WhisperForCausalLM",
    [
        call(
            "loss",
            {
                "input_ids": token_ids("source", 2, 7),
                "labels": ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]]),
                **EVERYTHING,
            },
            gradients=True,
        ),
        call("cross", {"input_ids": token_ids("source", 2, 7), **ENCODED, **EVERYTHING}),
        call("continuation", *continuations()[0].steps),
        generation_calls(1)[0],
    ],
)
LOSS = {**SOUNDS, "labels": ints([2, 0]), **EVERYTHING}
for variant, weighted in (("", False), ("weighted", True)):
    family.case(
        "WhisperForAudioClassification",
        [
            call("loss", LOSS, gradients=True),
            call("plain", {**SOUNDS, "head_mask": HEADS["head_mask"], **EVERYTHING}),
        ],
        variant,
        num_labels=3,
        use_weighted_layer_sum=weighted,
    )
