"""Golden cases of BERT."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Call,
    Family,
    Inputs,
    call,
    causal_lm_calls,
    continuations,
    encoder_calls,
    floats,
    ints,
    labelled,
    padded,
    padding,
    question_answering,
    sequence_classification,
    token_classification,
    token_ids,
    values,
)

family = Family(
    package="models-text",
    model_type="bert",
    config_class="BertConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 40,
        "type_vocab_size": 3,
        "hidden_act": "gelu",
    },
)
SEGMENTS = ints([[0, 0, 1, 1, 2, 2, 0], [0, 1, 1, 1, 1, 2, 2]])
HEAD_MASK = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]])
BLOCKS = ints(
    [[[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]] * 2
)
ENCODED: Inputs = {
    "encoder_hidden_states": floats("encoder", 2, 4, WIDTH),
    "encoder_attention_mask": padding(4, 4, 2),
}
TEXT: Inputs = {"input_ids": token_ids("plain", 2, 7)}


def cross_attention_calls(more: int = 2) -> list[Call]:
    """A decoder that looks at an encoder: one step, and a cache of both carried on."""
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    return [
        call("cross", {**TEXT, **ENCODED, "use_cache": True, **EVERYTHING}),
        call(
            "cross-continuation",
            {**TEXT, **ENCODED, "use_cache": True},
            {"input_ids": token_ids("more", 2, more), **ENCODED, **past, **EVERYTHING},
        ),
    ]


family.case(
    "BertModel",
    [
        *encoder_calls(),
        call("segments", {**TEXT, "token_type_ids": SEGMENTS}),
        call("positions", {**TEXT, "position_ids": ints([[6, 5, 4, 3, 2, 1, 0]])}),
        call("head-mask", {**TEXT, "head_mask": HEAD_MASK, **EVERYTHING}),
        call("one-head-mask", {**TEXT, "head_mask": values([1.0, 0.0, 1.0, 0.5])}),
        call("block-mask", {"input_ids": token_ids("blocks", 2, 5), "attention_mask": BLOCKS}),
    ],
)
family.case(
    "BertModel",
    encoder_calls(),
    "unpooled",
    arguments={"add_pooling_layer": False},
    hidden_act="relu",
    layer_norm_eps=1e-5,
)
family.case(
    "BertModel",
    encoder_calls(),
    "relative-key",
    position_embedding_type="relative_key",
    max_position_embeddings=8,
)
family.case(
    "BertModel", encoder_calls(), "relative-key-query", position_embedding_type="relative_key_query"
)
family.case(
    "BertModel",
    [call("plain", {**TEXT, "use_cache": True, **EVERYTHING}), *continuations()],
    "decoder",
    is_decoder=True,
)
family.case(
    "BertModel",
    cross_attention_calls(),
    "cross-attention",
    is_decoder=True,
    add_cross_attention=True,
)
# The reference takes several new tokens for one when distances are embedded: one at a time.
RELATIVE = {"is_decoder": True, "position_embedding_type": "relative_key_query"}
family.case("BertModel", [continuations(1)[0]], "relative-decoder", **RELATIVE)
family.case(
    "BertModel",
    cross_attention_calls(1),
    "relative-cross-attention",
    add_cross_attention=True,
    **RELATIVE,
)

MASKED = ints([[-100, 8, -100, 10, -100, -100, 13], [20, -100, -100, -100, 24, 25, -100]])
family.case(
    "BertForMaskedLM",
    [
        call("loss", {**TEXT, "labels": MASKED, **EVERYTHING}, gradients=True),
        call(
            "padding",
            {**padded("padding", padding(6, 6, 4, 1))},
        ),
    ],
)
family.case("BertForMaskedLM", [call("plain", TEXT)], "untied", tie_word_embeddings=False)
family.case(
    "BertForPreTraining",
    [
        call(
            "loss",
            {
                **TEXT,
                "token_type_ids": SEGMENTS,
                "labels": MASKED,
                "next_sentence_label": ints([1, 0]),
                **EVERYTHING,
            },
            gradients=True,
        ),
        call("plain", TEXT),
    ],
)
family.case("BertLMHeadModel", causal_lm_calls(), is_decoder=True)
family.case(
    "BertLMHeadModel",
    cross_attention_calls(),
    "cross-attention",
    is_decoder=True,
    add_cross_attention=True,
)
family.case(
    "BertForNextSentencePrediction",
    [
        *labelled("next", (2, 7), padding(7, 7, 5), labels=ints([1, 0])),
        call("segments", {**TEXT, "token_type_ids": SEGMENTS}),
    ],
)
family.case(
    "BertForMultipleChoice",
    [
        call(
            "loss",
            {
                "input_ids": token_ids("choices", 2, 3, 6),
                "attention_mask": ints([[[1] * 6, [1] * 4 + [0] * 2, [1] * 5 + [0]]] * 2),
                "token_type_ids": ints([[[0, 0, 0, 1, 1, 1]] * 3] * 2),
                "labels": ints([2, 0]),
            },
            gradients=True,
        ),
        call("embeds", {"inputs_embeds": floats("choices", 2, 3, 4, WIDTH), **EVERYTHING}),
    ],
)
family.case(
    "BertForMaskedLM",
    [call("loss", {**TEXT, "labels": MASKED, **EVERYTHING}, gradients=True), call("plain", TEXT)],
    "wide",  # wide enough for the kernels that small products do not use
    hidden_size=384,
    intermediate_size=512,
    vocab_size=512,
    num_hidden_layers=1,
)
sequence_classification(family, "BertForSequenceClassification")
token_classification(family, "BertForTokenClassification")
question_answering(family, "BertForQuestionAnswering")
