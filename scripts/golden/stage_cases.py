"""Golden cases that picture models in stages have in common."""

from __future__ import annotations

from cases import EVERYTHING, Call, Family, Inputs, call, floats, ints
from patch_cases import IMAGES

STATES: Inputs = {"output_hidden_states": True}
WIDE: Inputs = {"pixel_values": floats("wide", 2, 3, 40, 56)}
"""A size that stages do not divide evenly."""
LOSS: Inputs = {**IMAGES, "labels": ints([2, 0])}


def trained(inputs: Inputs = LOSS) -> Call:
    """Loss and gradients in training mode."""
    return call("training", inputs, gradients=True, training=True)


def bodies(family: Family, model: str, attentions: bool = False) -> None:
    """The body, on pictures of its own and of another size."""
    recorded = EVERYTHING if attentions else STATES
    family.case(model, [call("plain", {**IMAGES, **recorded}), call("wide", {**WIDE, **recorded})])


def backbones(family: Family, model: str, attentions: bool = False) -> None:
    """The last stage, all of them by name, and some by index."""
    recorded = EVERYTHING if attentions else STATES
    family.case(model, [call("plain", {**IMAGES, **recorded})])
    stages = ["stem", *(f"stage{i + 1}" for i in range(len(family.sizes["depths"])))]
    family.case(model, [call("wide", {**WIDE, **recorded})], "all", out_features=stages)
    family.case(model, [call("plain", IMAGES)], "indices", out_indices=[0, -1])
