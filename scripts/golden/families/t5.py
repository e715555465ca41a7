"""Golden cases of T5."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Family,
    call,
    encoder_calls,
    floats,
    generation_calls,
    ints,
    padding,
    seq2seq_calls,
    sequence_classification,
    token_classification,
    token_ids,
    values,
)

family = Family(
    package="models-text",
    model_type="t5",
    config_class="T5Config",
    sizes={
        "vocab_size": 99,
        "d_model": WIDTH,
        "d_kv": 8,
        "d_ff": 37,
        "num_layers": 2,
        "num_heads": 4,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 16,
        "decoder_start_token_id": 0,
    },
)
NEWER = {
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "num_decoder_layers": 3,
    "d_kv": 6,
}
TEXT = {"input_ids": token_ids("source", 2, 7), "decoder_input_ids": token_ids("target", 2, 4)}
HEADS = {
    "head_mask": values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]]),
    "decoder_head_mask": values([[0.5, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0]]),
    "cross_attn_head_mask": values([[1.0, 1.0, 0.25, 0.0], [0.0, 0.0, 1.0, 1.0]]),
}
LABELS = ints([[7, 8, -100, 10], [11, 12, 13, -100]])

family.case(
    "T5Model",
    [
        *seq2seq_calls(),
        call("head-masks", {**TEXT, **HEADS, **EVERYTHING}),
        call(
            "long",
            {
                "input_ids": token_ids("long", 1, 40),
                "decoder_input_ids": token_ids("long-target", 1, 30),
            },
        ),
    ],
)
family.case("T5Model", seq2seq_calls(), "gated", **NEWER)
family.case(
    "T5EncoderModel",
    [
        *encoder_calls(),
        call("head-mask", {"input_ids": TEXT["input_ids"], "head_mask": HEADS["head_mask"]}),
    ],
)
family.case("T5EncoderModel", encoder_calls(), "gated", feed_forward_proj="gated-silu")

generation = [
    call(
        "loss",
        {
            "input_ids": TEXT["input_ids"],
            "attention_mask": padding(7, 7, 4),
            "labels": LABELS,
            **EVERYTHING,
        },
        gradients=True,
    ),
    call("continuation", *seq2seq_calls()[-1].steps),
    *generation_calls(left=False),
]
family.case("T5ForConditionalGeneration", generation)
family.case("T5ForConditionalGeneration", generation, "gated", **NEWER)

family.case(
    "T5ForConditionalGeneration",
    [generation[0], *generation_calls(left=False)],
    "wide",  # wide enough for the kernels that small products do not use
    d_model=384,
    d_ff=512,
    d_kv=96,
    vocab_size=512,
    num_layers=1,
)

# The classification head reads the last end-of-sequence token (1) of each row.
ENDED = ints([[11, 12, 13, 14, 15, 1], [21, 22, 23, 1, 0, 0], [31, 32, 1, 0, 0, 0]])
sequence_classification(family, "T5ForSequenceClassification", {"input_ids": ENDED})
token_classification(family, "T5ForTokenClassification")
family.case(
    "T5ForQuestionAnswering",
    [
        call(
            "loss",
            {
                "input_ids": TEXT["input_ids"],
                "attention_mask": padding(7, 7, 4),
                "start_positions": ints([1, 9]),
                "end_positions": ints([3, 2]),
            },
            gradients=True,
        ),
        call("plain", {"input_ids": TEXT["input_ids"], **EVERYTHING}),
        call("decoder-inputs", {**TEXT}),
        call(
            "encoded",
            {
                "encoder_outputs": {"tuple": [floats("encoded", 2, 7, WIDTH)]},
                "decoder_input_ids": TEXT["decoder_input_ids"],
            },
        ),
    ],
)
