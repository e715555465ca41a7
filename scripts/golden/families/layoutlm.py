"""Golden cases of LayoutLM."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    Family,
    Inputs,
    call,
    encoder_calls,
    ints,
    labelled,
    padding,
    question_answering,
    seeded,
    sequence_classification,
    token_classification,
    token_ids,
)

family = Family(
    "models-vision",
    "layoutlm",
    "LayoutLMConfig",
    {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 64,
        "max_2d_position_embeddings": 50,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
)
TEXT: Inputs = {"input_ids": token_ids("plain", 2, 7)}
SEGMENTS = ints([[0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 0, 0]])
MASKED = ints([[-100, 8, -100, 10, -100, -100, 13], [20, -100, -100, -100, 24, 25, -100]])


def boxes(*shape: int) -> Inputs:
    """Boxes whose left and top come first."""
    low = seeded.integers("low", (*shape, 2), 0, 25)
    size = seeded.integers("size", (*shape, 2), 0, 25)
    return ints(seeded.np.concatenate((low, low + size), -1).tolist())


family.case(
    "LayoutLMModel",
    [*encoder_calls(), call("segments", {**TEXT, "token_type_ids": SEGMENTS})],
)
family.case("LayoutLMModel", encoder_calls(), "relative", position_embedding_type="relative_key")
family.case(
    "LayoutLMForMaskedLM",
    [call("loss", {**TEXT, "labels": MASKED, **EVERYTHING}, gradients=True), call("plain", TEXT)],
)
family.case("LayoutLMForMaskedLM", [call("plain", TEXT)], "untied", tie_word_embeddings=False)
sequence_classification(family, "LayoutLMForSequenceClassification")
token_classification(family, "LayoutLMForTokenClassification")
question_answering(family, "LayoutLMForQuestionAnswering")
family.case(
    "LayoutLMModel", labelled("without-boxes", (2, 5), padding(5, 5, 3))[1:], "without-boxes"
)

for case in family.cases[:-1]:
    for one in case.calls:
        for step in one.steps:
            ids = step.get("input_ids")
            shape = seeded.np.shape(ids["ints"]) if ids else step["inputs_embeds"]["floats"][:2]
            step["bbox"] = boxes(*shape)
