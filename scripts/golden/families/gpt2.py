"""Golden cases of GPT-2."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Family,
    call,
    causal_lm_calls,
    decoder_calls,
    floats,
    generation_calls,
    ints,
    padding,
    question_answering,
    sequence_classification,
    token_classification,
    token_ids,
    values,
)

family = Family(
    package="models-text",
    model_type="gpt2",
    config_class="GPT2Config",
    sizes={
        "vocab_size": 99,
        "n_positions": 40,
        "n_embd": WIDTH,
        "n_layer": 2,
        "n_head": 4,
        "bos_token_id": 98,
        "eos_token_id": 98,
        "pad_token_id": 0,
    },
)
TEXT = {"input_ids": token_ids("plain", 2, 7)}
SEGMENTS = ints([[0, 0, 1, 1, 2, 2, 0], [0, 1, 1, 1, 1, 2, 2]])

family.case(
    "GPT2Model",
    [
        *decoder_calls(),
        call("segments", {**TEXT, "token_type_ids": SEGMENTS}),
        call(
            "head-mask",
            {
                **TEXT,
                "head_mask": values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]]),
                **EVERYTHING,
            },
        ),
    ],
)
family.case(
    "GPT2Model",
    decoder_calls(),
    "scaled-by-layer",
    scale_attn_by_inverse_layer_idx=True,
    reorder_and_upcast_attn=True,
)
family.case(
    "GPT2Model",
    decoder_calls()[:2],
    "variant",
    n_inner=48,
    activation_function="relu",
    scale_attn_weights=False,
    layer_norm_epsilon=1e-3,
)
encoded = {
    "encoder_hidden_states": floats("encoder", 2, 4, WIDTH),
    "encoder_attention_mask": padding(4, 4, 2),
}
more = {
    "input_ids": token_ids("more", 2, 2),
    "past_key_values": {"output": "past_key_values"},
    "use_cache": False,
}
family.case(
    "GPT2Model",
    [call("cross", {**TEXT, **encoded, "use_cache": False, **EVERYTHING})],
    "cross-attention",
    add_cross_attention=True,
)

family.case("GPT2LMHeadModel", causal_lm_calls())
family.case(
    "GPT2LMHeadModel",
    [*causal_lm_calls()[:1], *generation_calls()],
    "untied",
    tie_word_embeddings=False,
)
family.case(
    "GPT2LMHeadModel",
    [
        call(
            "cross",
            {
                **TEXT,
                **encoded,
                "use_cache": False,
                "labels": ints([[7, -100, 9, 10, 11, 12, 13]] * 2),
                **EVERYTHING,
            },
            gradients=True,
        ),
        call(
            "cross-continuation",
            {**TEXT, **encoded, "use_cache": True},
            {**more, **encoded, **EVERYTHING},
        ),
    ],
    "cross-attention",
    add_cross_attention=True,
)

choices = {"input_ids": token_ids("choices", 2, 3, 6)}
double = [
    call(
        "loss",
        {
            **choices,
            "mc_token_ids": ints([[5, 4, 2], [0, 5, 3]]),
            "mc_labels": ints([2, 0]),
            "labels": ints([[[7, 8, 9, -100, 11, 12]] * 3] * 2),
        },
        gradients=True,
    ),
    call("plain", {**choices, **EVERYTHING}),
]
family.case("GPT2DoubleHeadsModel", double)
# These summaries take the second dimension for that of tokens, which it is without choices.
for summary in ("first", "last", "mean"):
    family.case(
        "GPT2DoubleHeadsModel",
        [call("plain", {"input_ids": token_ids("choices", 2, 6)})],
        f"summary-{summary}",
        summary_type=summary,
        summary_activation="tanh",
    )
family.case(
    "GPT2DoubleHeadsModel", double[:1], "summary-labels", num_labels=1, summary_proj_to_labels=True
)
family.case("GPT2DoubleHeadsModel", double[1:], "summary-width", summary_proj_to_labels=False)
family.case("GPT2DoubleHeadsModel", double[1:], "summary-plain", summary_use_proj=False)
family.case(
    "GPT2LMHeadModel",
    causal_lm_calls(),
    "wide",  # wide enough for the kernels that small products do not use
    n_embd=256,
    vocab_size=512,
    n_layer=1,
)
sequence_classification(family, "GPT2ForSequenceClassification")
token_classification(family, "GPT2ForTokenClassification")
question_answering(family, "GPT2ForQuestionAnswering")
