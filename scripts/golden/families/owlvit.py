"""Golden cases of OWL-ViT."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, floats, ints, padding
from patch_cases import IMAGES
from tower_cases import BOTH, END, PADDED, PAIRS

BATCH = [[97, 5, 6, END, 0], [97, 9, END, 0, 0], [97, 7, 8, 9, END], [0, 0, 0, 0, 0]]
QUERIES = {"input_ids": ints(BATCH), "attention_mask": padding(5, 4, 3, 5, 1)}
SHOWN = {"query_pixel_values": floats("queries", 2, 3, 32, 32)}

family = Family("models-vision", "owlvit", "OwlViTConfig", {**BOTH, "projection_dim": 32})
family.case(
    "OwlViTModel",
    [
        call("loss", {**PAIRS, "return_loss": True, **EVERYTHING}, gradients=True),
        call("texts", PADDED, method="get_text_features"),
        call("images", IMAGES, method="get_image_features"),
    ],
    projection_dim=24,
)
family.case(
    "OwlViTForObjectDetection",
    [
        call("queries", {**IMAGES, **QUERIES, **EVERYTHING}),
        call("two-each", {**IMAGES, "input_ids": ints([[97, 5, END]] * 2 + [[97, 7, END]] * 2)}),
        call("guided", {**IMAGES, **SHOWN}, method="image_guided_detection"),
    ],
)
