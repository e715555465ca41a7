"""SAM's processors make of pictures, prompts and masks what the reference makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dovetail import AutoProcessor, SamImageProcessor, SamProcessor
from dovetail.errors import ProcessorError
from dovetail.testing import seeded
from dovetail.testing.golden import compare
from dovetail_models_vision.sam.mask_generation import (
    cut_by_edge,
    from_run_lengths,
    run_lengths,
    suppress,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "sam" / "prompts.json").read_text())


def processor(**settings: Any) -> SamProcessor:
    return SamProcessor(SamImageProcessor(**GOLDEN["sizes"], **settings))


def picture(index: int = 0) -> np.ndarray:
    shape = ((40, 60, 3), (50, 30, 3))[index]
    return seeded.integers(f"picture-{index}", shape, 0, 256).astype(np.uint8)


def masks(height: int, width: int) -> torch.Tensor:
    coarse = torch.from_numpy(seeded.noise("masks", (3, 2, 4, 6), 0.0, 8.0))
    return F.interpolate(coarse, (height, width), mode="bilinear")


@pytest.mark.parametrize("name", GOLDEN["calls"])
def test_prompts_are_placed_as_the_reference_does(name: str):
    call = GOLDEN["calls"][name]
    inputs = dict(call["inputs"])
    pictures = [picture(index) for index in range(inputs.pop("images", 1))]
    if "segmentation_maps" in inputs:
        inputs["segmentation_maps"] = np.array(inputs["segmentation_maps"], np.uint8)
    output = processor(use_fast=False)(pictures, return_tensors="pt", **inputs)
    assert list(output) == list(call["outputs"])
    assert list(compare(dict(output), call["outputs"], "")) == []


def test_torch_and_pil_agree():
    fast, exact = (
        processor(use_fast=fast)([picture(0), picture(1)], return_tensors="pt").pixel_values
        for fast in (True, False)
    )
    assert (fast - exact).abs().max() < 1.01 / 255 / 0.224


@pytest.mark.parametrize("crop", GOLDEN["crops"])
def test_crops_and_points_equal_the_reference(crop: dict[str, Any]):
    boxes, points, crops, labels = SamImageProcessor().generate_crop_boxes(
        picture(), **crop["inputs"]
    )
    expected = crop["outputs"]
    assert boxes.tolist() == expected[0]
    torch.testing.assert_close(points, torch.tensor(expected[1], dtype=torch.float64))
    assert [list(one.shape) for one in crops] == expected[2]
    assert labels.tolist() == expected[3]


@pytest.mark.parametrize("case", GOLDEN["filters"])
def test_masks_are_filtered_as_the_reference_does(case: dict[str, Any]):
    inputs = dict(case["inputs"])
    crop = inputs.pop("crop", [10, 5, 50, 35])
    scores = torch.from_numpy(seeded.noise("scores", (3, 2), 0.5, 0.3))
    logits = masks(crop[3] - crop[1], crop[2] - crop[0])
    found, kept, boxes = SamImageProcessor().filter_masks(logits, scores, (40, 60), crop, **inputs)
    assert found == case["outputs"][0]
    assert kept.tolist() == pytest.approx(case["outputs"][1])
    assert boxes.tolist() == case["outputs"][2]


def test_masks_grow_to_the_picture_as_the_reference_does():
    images = processor()
    full = images.post_process_masks([masks(16, 16)], [(40, 60)], [(43, 64)], binarize=False)[0]
    assert list(compare(full, GOLDEN["masks"], "masks")) == []
    sizes = torch.tensor([[40, 60]]), torch.tensor([[43, 64]])
    assert torch.equal(images.post_process_masks(masks(16, 16)[None], *sizes)[0], full > 0)


def test_run_lengths_come_back_as_masks():
    given = torch.rand(4, 5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    given[0], given[1] = False, True
    encoded = run_lengths(given)
    assert encoded[0] == {"size": [5, 7], "counts": [35]}
    assert encoded[1] == {"size": [5, 7], "counts": [0, 35]}
    for mask, one in zip(given, encoded, strict=True):
        assert np.array_equal(from_run_lengths(one), mask.numpy())


def test_masks_cut_by_a_crop_are_told_from_those_at_the_edge_of_the_picture():
    boxes = torch.tensor([[30, 30, 60, 60], [5, 30, 60, 60], [30, 30, 60, 95]])
    assert cut_by_edge(boxes, [100, 100, 200, 200], (400, 400)).tolist() == [False, True, True]
    assert cut_by_edge(boxes, [0, 0, 100, 100], (400, 400)).tolist() == [False, False, True]
    assert cut_by_edge(boxes, [0, 0, 100, 100], (100, 100)).tolist() == [False, False, False]


def test_overlapping_masks_give_way_to_better_ones():
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9], [5, 5, 30, 30], [0, 0, 0, 0]]).float()
    scores = torch.tensor([0.5, 0.9, 0.7, 0.1])
    assert suppress(boxes, scores, 0.7).tolist() == [1, 2, 3]
    assert suppress(boxes, scores, 0.95).tolist() == [1, 2, 0, 3]
    encoded = run_lengths(torch.ones(4, 3, 3, dtype=torch.bool))
    found, kept, lengths, left = SamImageProcessor().post_process_for_mask_generation(
        encoded, scores, boxes.long(), 0.7
    )
    assert len(found) == len(lengths) == 3
    assert kept.tolist() == pytest.approx([0.9, 0.7, 0.1])
    assert left.tolist() == boxes[[1, 2, 3]].tolist()
    nothing = torch.zeros(0, 4)
    assert suppress(nothing, torch.zeros(0), 0.7).tolist() == []


def test_processors_are_saved_and_found_again(tmp_path: Path):
    processor(do_pad=False).save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, SamProcessor)
    assert loaded.image_processor.mask_size == {"longest_edge": 16}
    assert not loaded.image_processor.do_pad


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"input_points": [[10, 20]]}, "input_points"),
        ({"input_points": 3}, "input_points"),
        ({"input_boxes": [[1, 2, 30, 20]]}, "input_boxes"),
        ({"input_boxes": [[["a", "b", "c", "d"]]]}, "input_boxes"),
        ({"images": [picture()] * 2, "input_points": [[[1, 2]]] * 3}, "3 images, but there are 2"),
        ({"segmentation_maps": [np.zeros((4, 4))] * 2}, "2 for 1 images"),
        ({"size": {"height": 3, "width": 3}}, "longest_edge"),
        ({"pad_size": {"height": 32, "width": 32}}, "smaller than a picture"),
    ],
)
def test_prompts_that_cannot_be_are_refused(prompts: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        processor()(**{"images": picture(), **prompts})
