"""Golden cases that models of images have in common."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, WIDTH, Call, Family, Inputs, booleans, call, floats, ints, values

SIZES: Inputs = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 32,
    "patch_size": 8,
}
IMAGES: Inputs = {"pixel_values": floats("images", 2, 3, 32, 32)}
WIDE: Inputs = {"pixel_values": floats("wide", 1, 3, 24, 48)}
"""Another size, still whole patches."""
HEAD_MASK = values([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, 1.0, 1.0]])
HIDDEN = booleans([[0, 1, 1, 0] * 4, [1, 0, 0, 0] * 4])
"""Which of 16 patches a model does not see."""


def body_calls(head_mask: bool = True, interpolates: bool = True, **extra: Any) -> list[Call]:
    """Calls of an image encoder."""
    calls = [call("plain", {**IMAGES, **EVERYTHING})]
    if head_mask:
        calls.append(call("head-mask", {**IMAGES, "head_mask": HEAD_MASK, **EVERYTHING}))
        one = values([1.0, 0.0, 1.0, 0.5])
        calls.append(call("one-head-mask", {**IMAGES, "head_mask": one}))
    if interpolates:
        calls.append(call("another-size", {**WIDE, **extra, **EVERYTHING}))
    return calls


def image_classification(
    family: Family,
    model: str,
    recorded: Inputs = EVERYTHING,
    unlabelled: bool = True,
    **extra: Any,
) -> None:
    """One of several classes, a number, several classes at once, none where `unlabelled`."""
    labels = {
        "classes": (ints([2, 0]), {"num_labels": 3}),
        "number": (values([0.5, -1.0]), {"num_labels": 1}),
        "several": (values([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), {"num_labels": 3}),
    }
    for variant, (given, config) in labels.items():
        calls = [call("loss", {**IMAGES, "labels": given, **recorded}, gradients=True)]
        if variant == "classes":
            calls.append(call("plain", {**WIDE, **extra} if extra else IMAGES))
        family.case(model, calls, "" if variant == "classes" else variant, **config)
    if unlabelled:
        family.case(model, [call("features", IMAGES)], "unlabelled", num_labels=0)
