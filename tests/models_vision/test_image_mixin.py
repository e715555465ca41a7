"""The methods that feature extractors inherited: what they give equals the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dovetail import ImageFeatureExtractionMixin

BYTES = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)
FLOATS = (BYTES / 255).astype(np.float32)
TENSOR = torch.from_numpy(FLOATS)
PICTURE = Image.fromarray(BYTES.transpose(1, 2, 0))
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "pil_a": ("to_pil_image", (BYTES,), {}),
    "pil_f": ("to_pil_image", (FLOATS,), {}),
    "pil_t": ("to_pil_image", (TENSOR,), {}),
    "np_p": ("to_numpy_array", (PICTURE,), {}),
    "np_p2": ("to_numpy_array", (PICTURE,), {"rescale": False, "channel_first": False}),
    "np_f": ("to_numpy_array", (FLOATS.transpose(1, 2, 0),), {}),
    "norm_p": ("normalize", (PICTURE, MEAN, STD), {}),
    "norm_t": ("normalize", (TENSOR, MEAN, STD), {}),
    "norm_r": ("normalize", (BYTES.astype(np.float32), MEAN, STD), {"rescale": True}),
    "rs": ("resize", (PICTURE, (10, 16)), {}),
    "rs1": ("resize", (PICTURE, 12), {}),
    "rs2": ("resize", (PICTURE, 12), {"default_to_square": False}),
    "rs3": ("resize", (PICTURE, 12), {"default_to_square": False, "max_size": 15}),
    "cc": ("center_crop", (PICTURE, (8, 10)), {}),
    "cc2": ("center_crop", (FLOATS, (26, 11)), {}),
    "cc3": ("center_crop", (TENSOR, 8), {}),
    "cc4": ("center_crop", (PICTURE, 40), {}),
    "fl": ("flip_channel_order", (PICTURE,), {}),
    "rot": ("rotate", (PICTURE, 30), {}),
    "ex": ("expand_dims", (FLOATS,), {}),
    "re": ("rescale", (FLOATS, 2), {}),
}
EXPECTED = {
    "pil_a": ((20, 30, 3), 1179.1289),
    "pil_f": ((20, 30, 3), 1179.1289),
    "pil_t": ((20, 30, 3), 1179.1289),
    "np_p": ((3, 20, 30), -11.8588),
    "np_p2": ((20, 30, 3), 1179.1289),
    "np_f": ((3, 20, 30), -11.8588),
    "norm_p": ((3, 20, 30), -41.1467),
    "norm_t": ((3, 20, 30), -41.1467),
    "norm_r": ((3, 20, 30), -41.1467),
    "rs": ((16, 10, 3), 212.6605),
    "rs1": ((12, 12, 3), -239.8457),
    "rs2": ((12, 18, 3), 180.3331),
    "rs3": ((10, 15, 3), 85.1370),
    "cc": ((8, 10, 3), 414.2150),
    "cc2": ((3, 26, 11), 5.0128),
    "cc3": ((3, 8, 8), -3.2487),
    "cc4": ((40, 40, 3), -2766.4198),
    "fl": ((3, 20, 30), -12.2992),
    "rot": ((20, 30, 3), 1797.8273),
    "ex": ((1, 3, 20, 30), -11.8588),
    "re": ((3, 20, 30), -23.7176),
}
"""Shapes, and sums of all values weighed by cosines, of transformers 4.46.3."""


@pytest.mark.parametrize("case", CALLS)
def test_results_equal_the_reference(case: str) -> None:
    method, args, options = CALLS[case]
    found = np.asarray(getattr(ImageFeatureExtractionMixin(), method)(*args, **options))
    shape, weighed = EXPECTED[case]
    assert found.shape == shape
    values = found.astype(np.float64).ravel()
    assert (values * np.cos(np.arange(values.size))).sum() == pytest.approx(weighed, abs=1e-3)


def test_colours_and_tensors() -> None:
    mixin = ImageFeatureExtractionMixin()
    assert mixin.convert_rgb(Image.new("L", (2, 2))).mode == "RGB"
    assert mixin.convert_rgb(BYTES) is BYTES
    assert torch.equal(mixin.flip_channel_order(TENSOR), TENSOR.flip(0))


def test_no_picture() -> None:
    with pytest.raises(TypeError, match="image is str: give a PIL image"):
        ImageFeatureExtractionMixin().to_pil_image("picture.jpg")
