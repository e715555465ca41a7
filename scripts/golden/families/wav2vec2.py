"""Golden cases of Wav2Vec 2.0."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    WIDTH,
    Call,
    Family,
    Inputs,
    booleans,
    call,
    floats,
    ints,
    padding,
    values,
)

SIZES: Inputs = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "vocab_size": 19,
    "conv_dim": [8, 10],
    "conv_stride": [3, 2],
    "conv_kernel": [5, 3],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "num_codevectors_per_group": 5,
    "codevector_dim": 8,
    "proj_codevector_dim": 6,
    "classifier_proj_size": 9,
    "tdnn_dim": [8, 12],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [2, 1],
    "xvector_output_dim": 7,
    "hidden_dropout": 0.0,
}
STABLE: Inputs = {
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "num_conv_pos_embeddings": 5,
}
FRAMES = 15
SOUNDS: Inputs = {"input_values": floats("sounds", 2, 95)}
PADDED: Inputs = {**SOUNDS, "attention_mask": padding(95, 95, 62)}
HIDDEN = booleans([[0, 1, 1, 0, 0, 1] + [0] * 9, [1, 0, 1, 1] + [0] * 11])
NEGATIVES = ints(
    [
        [[0, 0], [2, 5], [1, 5], [0, 0], [0, 0], [1, 2]] + [[0, 0]] * 9,
        [[17, 18], [0, 0], [15, 18], [15, 17]] + [[0, 0]] * 11,
    ]
)

RECIPES = {r"quantizer\.weight_proj\.bias": (0.0, 2.0)}  # else the bias decides no choice

family = Family("models-audio", "wav2vec2", "Wav2Vec2Config", SIZES, RECIPES)


def body_calls() -> list[Call]:
    """Calls of a body: whole sounds, padded ones, hidden frames."""
    return [
        call("plain", {**SOUNDS, **EVERYTHING}),
        call("padding", {**PADDED, **EVERYTHING}),
        call("hidden", {**PADDED, "mask_time_indices": HIDDEN, **EVERYTHING}),
    ]


def head_calls(labels: Inputs) -> list[Call]:
    """Calls of a head: the loss with its gradients, and padded sounds."""
    return [
        call("loss", {**SOUNDS, "labels": labels, **EVERYTHING}, gradients=True),
        call("padding", {**PADDED, "labels": labels}),
        call("plain", SOUNDS),
    ]


family.case("Wav2Vec2Model", body_calls())
family.case("Wav2Vec2Model", body_calls(), "stable", **STABLE)
family.case("Wav2Vec2Model", body_calls(), "languages", adapter_attn_dim=5, **STABLE)
family.case("Wav2Vec2Model", body_calls()[:2], "adapter", add_adapter=True, num_adapter_layers=2)
family.case(
    "Wav2Vec2Model",
    body_calls()[:2],
    "wide-adapter",
    add_adapter=True,
    num_adapter_layers=1,
    output_hidden_size=24,
    mask_time_prob=0.0,
    **STABLE,
)
TEXTS = ints([[3, 4, 4, 7], [5, 6, -100, -100]])
family.case("Wav2Vec2ForCTC", head_calls(TEXTS), mask_time_prob=0.0)
family.case(
    "Wav2Vec2ForCTC", head_calls(TEXTS), "mean", ctc_loss_reduction="mean", ctc_zero_infinity=True
)
family.case(
    "Wav2Vec2ForCTC",
    head_calls(ints([[3, 4], [5, -100]])),
    "adapter",
    add_adapter=True,
    num_adapter_layers=1,
    adapter_attn_dim=5,
    **STABLE,
)
family.case("Wav2Vec2ForMaskedLM", [call("plain", {**SOUNDS, **EVERYTHING})], mask_time_prob=0.0)
CONTRAST: Inputs = {"mask_time_indices": HIDDEN, "sampled_negative_indices": NEGATIVES}
family.case(
    "Wav2Vec2ForPreTraining",
    [
        call("loss", {**SOUNDS, **CONTRAST, **EVERYTHING}, gradients=True),
        call("padding", {**PADDED, **CONTRAST}),
        call("plain", SOUNDS),
    ],
)
SPEAKERS = ints([1, 0])
MOMENTS = values(
    [
        [[float(kind == (row + frame) % 3) for kind in range(3)] for frame in range(FRAMES)]
        for row in range(2)
    ]
)
for head, labels, kinds in (
    ("ForSequenceClassification", SPEAKERS, 3),
    ("ForAudioFrameClassification", MOMENTS, 3),
    ("ForXVector", SPEAKERS, 3),
):
    family.case(f"Wav2Vec2{head}", head_calls(labels), num_labels=kinds, mask_time_prob=0.0)
    family.case(
        f"Wav2Vec2{head}",
        head_calls(labels),
        "weighted",
        num_labels=kinds,
        use_weighted_layer_sum=True,
    )
