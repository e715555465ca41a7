"""Golden cases that detection transformers have in common."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, Call, Inputs, call, floats, ints, seeded, values

SIZE = (64, 48)
"""Height and width of the pictures."""
PICTURES: Inputs = {"pixel_values": floats("pictures", 2, 3, *SIZE)}
PADDED: Inputs = {
    "pixel_values": floats("padded", 2, 3, *SIZE),
    "pixel_mask": ints(
        [[[1] * width + [0] * (SIZE[1] - width)] * height + [[0] * SIZE[1]] * (SIZE[0] - height)
         for height, width in ((64, 48), (40, 33))]
    ),
}  # fmt: skip
BOXES = (
    [[0.5, 0.4, 0.25, 0.5], [0.2, 0.7, 0.3, 0.2], [0.75, 0.25, 0.4, 0.375]],
    [[0.35, 0.6, 0.5, 0.25]],
)
CLASSES = ([1, 0, 1], [0])


def resnet(**config: Any) -> Inputs:
    """A backbone of four tiny stages, of which the last is returned."""
    return {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 12, 16, 24],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage4"],
        **config,
    }


def objects(masks: bool = False, sizes: tuple[tuple[int, int], ...] = ((32, 24), (24, 20))) -> Any:
    """Labels of two pictures; the masks of one are larger than those of the other."""
    labels = []
    for index, (classes, boxes) in enumerate(zip(CLASSES, BOXES, strict=True)):
        fields: Inputs = {"class_labels": ints(classes), "boxes": values(boxes)}
        if masks:
            shape = (len(classes), *sizes[index])
            noise = seeded.integers(f"masks.{index}", shape, 0, 2)
            fields["masks"] = ints(noise.tolist())
        labels.append({"fields": fields})
    return labels


def body_calls() -> list[Call]:
    """Everything recorded, with and without padding around the pictures."""
    return [
        call("plain", {**PICTURES, **EVERYTHING}),
        call("padded", {**PADDED, **EVERYTHING}),
    ]


def detection_calls(masks: bool = False) -> list[Call]:
    """Loss and gradients, and a padded batch without labels."""
    return [
        call("loss", {**PICTURES, "labels": objects(masks)}, gradients=True),
        call("padded", {**PADDED, **EVERYTHING}),
        call("padded-loss", {**PADDED, "labels": objects(masks)}),
    ]
