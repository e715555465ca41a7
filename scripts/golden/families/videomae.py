"""Golden cases of VideoMAE."""

from __future__ import annotations

from cases import EVERYTHING, WIDTH, Family, booleans, call, floats, ints, values

SIZES = {
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "decoder_num_attention_heads": 2,
    "decoder_hidden_size": 24,
    "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 29,
}
family = Family("models-vision", "videomae", "VideoMAEConfig", SIZES)
VIDEOS = {"pixel_values": floats("videos", 2, 4, 3, 16, 16)}
MASK = booleans([[1, 0, 1, 1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 1, 0, 0]])
HEADS = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]])
bodies = [
    call("plain", {**VIDEOS, **EVERYTHING}),
    call("masked", {**VIDEOS, "bool_masked_pos": MASK, **EVERYTHING}),
    call("head-mask", {**VIDEOS, "head_mask": HEADS, **EVERYTHING}),
]
family.case("VideoMAEModel", bodies)
family.case("VideoMAEModel", bodies[:1], "first", use_mean_pooling=False, tubelet_size=4)
painting = {**VIDEOS, "bool_masked_pos": MASK}
family.case(
    "VideoMAEForPreTraining",
    [call("loss", {**painting, **EVERYTHING}, gradients=True)],
    use_mean_pooling=False,
)
family.case(
    "VideoMAEForPreTraining",
    [call("loss", painting, gradients=True)],
    "plain-pixels",
    norm_pix_loss=False,
    qkv_bias=False,
)
family.case(
    "VideoMAEForPreTraining",
    [call("loss", {"pixel_values": floats("grey", 2, 4, 1, 16, 16), "bool_masked_pos": MASK})],
    "grey",
    num_channels=1,
)
labels = {
    "": (ints([2, 0]), {"num_labels": 3}),
    "number": (values([0.5, -1.0]), {"num_labels": 1}),
    "several": (values([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), {"num_labels": 3}),
    "first": (ints([1, 0]), {"num_labels": 2, "use_mean_pooling": False}),
}
for variant, (given, config) in labels.items():
    family.case(
        "VideoMAEForVideoClassification",
        [call("loss", {**VIDEOS, "labels": given, **EVERYTHING}, gradients=True)],
        variant,
        **config,
    )
