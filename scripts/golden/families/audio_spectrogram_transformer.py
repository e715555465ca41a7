"""Golden cases of the Audio Spectrogram Transformer."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, Inputs, call, floats, ints, values
from patch_cases import HEAD_MASK

SIZES: Inputs = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "patch_size": 4,
    "frequency_stride": 3,
    "time_stride": 2,
    "max_length": 17,
    "num_mel_bins": 12,
}
SOUNDS: Inputs = {"input_values": floats("sounds", 2, 17, 12)}
LABELS = {
    "": (ints([2, 0]), {"num_labels": 3}),
    "number": (values([0.5, -1.0]), {"num_labels": 1}),
    "several": (values([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), {"num_labels": 3}),
}

family = Family("models-audio", "audio-spectrogram-transformer", "ASTConfig", SIZES)
family.case(
    "ASTModel",
    [
        call("plain", {**SOUNDS, **EVERYTHING}),
        call("head-mask", {**SOUNDS, "head_mask": HEAD_MASK, **EVERYTHING}),
    ],
)
family.case(
    "ASTModel",
    [call("plain", {**SOUNDS, **EVERYTHING})],
    "unbiased",
    hidden_act="relu",
    qkv_bias=False,
    layer_norm_eps=1e-3,
)
for variant, (labels, config) in LABELS.items():
    calls = [call("loss", {**SOUNDS, "labels": labels, **EVERYTHING}, gradients=True)]
    if not variant:
        calls.append(call("plain", SOUNDS))
    family.case("ASTForAudioClassification", calls, variant, **config)
family.case("ASTForAudioClassification", [call("features", SOUNDS)], "unlabelled", num_labels=0)
