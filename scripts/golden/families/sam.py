"""Golden cases of SAM."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, Family, Inputs, call, floats, ints, values

VISION: Inputs = {
    "hidden_size": 16,
    "output_channels": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
    "num_pos_feats": 8,
    "mlp_dim": 24,
    "global_attn_indexes": [1],
    "window_size": 3,
}
PROMPTS: Inputs = {
    "hidden_size": 16,
    "image_size": 32,
    "patch_size": 4,
    "mask_input_channels": 8,
    "num_point_embeddings": 4,
}
DECODER: Inputs = {
    "hidden_size": 16,
    "mlp_dim": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 12,
}
family = Family(
    "models-vision",
    "sam",
    "SamConfig",
    {"vision_config": VISION, "prompt_encoder_config": PROMPTS, "mask_decoder_config": DECODER},
)

PIXELS = floats("pixels", 2, 3, 32, 32)
POINTS = values(
    [
        [[[3.0, 4.0], [20.5, 9.0]], [[31.0, 0.0], [7.0, 25.0]], [[1.0, 1.0], [15.0, 16.0]]],
        [[[13.0, 24.0], [2.5, 29.0]], [[0.0, 0.0], [0.0, 0.0]], [[8.0, 30.0], [30.0, 8.0]]],
    ]
)
LABELS = ints([[[1, 0], [1, 1], [0, -1]], [[0, 0], [-10, 1], [1, -1]]])
BOXES = values(
    [
        [[1.0, 2.0, 20.0, 30.0], [0.0, 0.0, 31.0, 31.0], [4.0, 4.0, 9.5, 8.0]],
        [[3.0, 2.0, 12.0, 13.0], [10.0, 9.0, 11.0, 31.0], [4.0, 14.0, 29.5, 18.0]],
    ]
)
MASKS = floats("masks", 2, 1, 32, 32)
POINTED: Inputs = {"pixel_values": PIXELS, "input_points": POINTS}
LABELLED: Inputs = {**POINTED, "input_labels": LABELS}


def part(name: str, sizes: Inputs, **changes: Any) -> Inputs:
    """A config's part with `changes`."""
    return {name: {**sizes, **changes}}


family.case(
    "SamModel",
    [
        call("points", {**LABELLED, **EVERYTHING}),
        call("unlabelled", POINTED),
        call("no-prompt", {"pixel_values": PIXELS, **EVERYTHING}),
        call("boxes", {"pixel_values": PIXELS, "input_boxes": BOXES}),
        call("points-and-boxes", {**LABELLED, "input_boxes": BOXES}),
        call("masks", {"pixel_values": PIXELS, "input_masks": MASKS}),
        call("everything", {**LABELLED, "input_boxes": BOXES, "input_masks": MASKS}),
        call("one-mask", {**LABELLED, "multimask_output": False}),
        call("embedded", {"image_embeddings": floats("image", 2, 16, 8, 8), "input_boxes": BOXES}),
        call("similarity", {**LABELLED, "attention_similarity": floats("like", 1, 1, 1, 64)}),
        call("target", {**LABELLED, "target_embedding": floats("target", 1, 1, 1, 16)}),
        call("targets", {**LABELLED, "target_embedding": floats("targets", 2, 3, 1, 16)}),
    ],
)
family.case(
    "SamModel",
    [call("points", {**LABELLED, **EVERYTHING})],
    "without-positions",
    **part("vision_config", VISION, use_rel_pos=False, use_abs_pos=False, qkv_bias=False),
)
family.case(
    "SamModel",
    [call("points", {**LABELLED, **EVERYTHING})],
    "other-sizes",
    **part("vision_config", VISION, window_size=4, hidden_act="relu", layer_norm_eps=1e-5),
    **part(
        "mask_decoder_config",
        DECODER,
        num_multimask_outputs=2,
        iou_head_depth=4,
        attention_downsample_rate=1,
        num_hidden_layers=3,
    ),
)
