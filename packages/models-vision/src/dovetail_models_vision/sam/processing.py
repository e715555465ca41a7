"""SAM's inputs: pictures, and prompts in the coordinates of the prepared picture."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail.processors import ProcessorMixin
from dovetail_models_vision.sam.image_processing import scaled_size, sizes
from dovetail_models_vision.sam.prompts import IGNORED

FORMS = {
    "input_points": (2, "of points, x and y each, or of such lists of equal length"),
    "input_labels": (0, "of numbers, one for each point"),
    "input_boxes": (4, "of boxes, left, top, right and bottom each"),
}
"""How many numbers stand together, and what a prompt looks like."""


class SamProcessor(ProcessorMixin):
    """An image processor which takes points, labels and boxes along with images."""

    attributes: ClassVar[list[str]] = ["image_processor"]
    image_processor_class = "SamImageProcessor"

    @property
    def target_size(self) -> int:
        """Pixels of a prepared picture's longer edge."""
        return self.image_processor.size["longest_edge"]  # type: ignore[attr-defined]

    def __call__(
        self,
        images: Any = None,
        segmentation_maps: Any = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """What the image processor makes of `images`, with ``input_points`` (B, P, N, 2),
        ``input_labels`` (B, P, N) and ``input_boxes`` (B, P, 4).

        Points are x and y in pixels of the picture: for each image a list of points, or of prompts
        of several points. Images with fewer points get ones that are ignored. Boxes are left, top,
        right and bottom, for each image a list of them.

        Raises:
            ProcessorError: prompts are no nested lists of numbers, or do not fit the images.
        """
        encoded = self.image_processor(  # type: ignore[attr-defined]
            images, segmentation_maps=segmentation_maps, return_tensors=return_tensors, **kwargs
        )
        originals = sizes(encoded["original_sizes"])
        points = self.placed(input_points, originals, "input_points")
        boxes = self.placed(input_boxes, originals, "input_boxes")
        labels = None if input_labels is None else arrays(input_labels, "input_labels")
        if points is not None:
            points, labels = padded(points, labels)
        made = {
            "input_points": (points, 4),
            "input_labels": (labels, 3),
            "input_boxes": (boxes, 3),
        }
        for name, (prompts, axes) in made.items():
            if prompts is not None:
                encoded[name] = stacked(prompts, name, axes, return_tensors)
        return encoded

    def placed(
        self, prompts: Any, originals: list[tuple[int, int]], name: str
    ) -> list[np.ndarray] | None:
        """`prompts` of each image in the coordinates of the prepared image."""
        if prompts is None:
            return None
        given = arrays(prompts, name)
        if len(originals) == 1:  # several sets of prompts for one image
            originals = originals * len(given)
        if len(given) != len(originals):
            raise ProcessorError(
                f"{name}: prompts for {len(given)} images, but there are {len(originals)}."
            )
        return [self.scaled(one, size) for one, size in zip(given, originals, strict=True)]

    def scaled(self, coordinates: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """`coordinates` (..., 2 or 4) of a picture of `size` (height, width), prepared."""
        height, width = scaled_size(size, self.target_size)
        factors = np.array([width / size[1], height / size[0]])
        pairs = coordinates.astype(float).reshape(*coordinates.shape[:-1], -1, 2) * factors
        return pairs.reshape(coordinates.shape)

    @property
    def model_input_names(self) -> list[str]:
        """The image processor's."""
        return list(self.image_processor.model_input_names)  # type: ignore[attr-defined]

    def post_process_masks(self, *args: Any, **kwargs: Any) -> Any:
        """The image processor's `post_process_masks`."""
        return self.image_processor.post_process_masks(*args, **kwargs)  # type: ignore[attr-defined]


def arrays(prompts: Any, name: str) -> list[np.ndarray]:
    """One array for each image; refuses what does not have the `FORMS` of its name."""
    width, form = FORMS[name]
    if hasattr(prompts, "tolist"):
        prompts = prompts.tolist()
    try:
        found = [np.array(one) for one in prompts]
    except (TypeError, ValueError):
        found = []
    fits = (
        one.dtype.kind in "iufb" and one.ndim > (width > 0) and width in (0, one.shape[-1])
        for one in found
    )
    if not found or not all(fits):
        raise ProcessorError(
            f"{name}={str(prompts)[:80]} must hold, for each image, a list {form}."
        )
    return found


def padded(
    points: list[np.ndarray], labels: list[np.ndarray] | None
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Points of images which have fewer than others, with points that are ignored."""
    most = max(len(one) for one in points)
    if all(len(one) == most for one in points):
        return points, labels
    labels = [np.ones(one.shape[:-1], int) for one in points] if labels is None else labels
    if [len(one) for one in labels] != [len(one) for one in points]:
        raise ProcessorError(
            f"input_labels: {[len(one) for one in labels]} for input_points of "
            f"{[len(one) for one in points]}; give one for each point."
        )
    return tuple(
        [
            np.pad(one, [(0, most - len(one)), *[(0, 0)] * (one.ndim - 1)], constant_values=IGNORED)
            for one in each
        ]
        for each in (points, labels)
    )  # type: ignore[return-value]


def stacked(
    prompts: list[np.ndarray], name: str, axes: int, return_tensors: str | None
) -> np.ndarray | torch.Tensor:
    """One array; as a tensor it gets the axis of prompts, if it has none."""
    try:
        array = np.stack(prompts)
    except ValueError:
        shapes = [one.shape for one in prompts]
        raise ProcessorError(
            f"{name}: of shapes {shapes}; give every image as many prompts."
        ) from None
    if return_tensors != "pt":
        return array
    tensor = torch.from_numpy(array)
    return tensor if tensor.dim() == axes else tensor[:, None]
