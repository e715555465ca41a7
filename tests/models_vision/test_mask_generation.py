"""Masks at points on a grid: batches and crops change nothing but what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import dovetail
from dovetail.cli import execute
from dovetail.errors import PipelineError
from dovetail.testing.pictures import painted
from dovetail.testing.seeded import integers

PART = {"hidden_size": 16, "mlp_dim": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
SQUARE = {"image_size": 32, "patch_size": 4}
VISION = {"output_channels": 16, "num_pos_feats": 8, "global_attn_indexes": [1], "window_size": 3}
PROMPTS = {"hidden_size": 16, "mask_input_channels": 8, "num_point_embeddings": 4}
LOOSE = {"pred_iou_thresh": -100.0, "stability_score_thresh": -1.0, "stability_score_offset": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = dovetail.SamConfig(
        vision_config={**PART, **SQUARE, **VISION},
        prompt_encoder_config={**SQUARE, **PROMPTS},
        mask_decoder_config={**PART, "iou_head_hidden_dim": 12},
    )
    torch.manual_seed(3)
    model = dovetail.SamModel(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    made = tmp_path_factory.mktemp("sam")
    model.save_pretrained(made)
    size = {"size": {"longest_edge": 32}, "pad_size": {"height": 32, "width": 32}}
    dovetail.SamImageProcessor(**size).save_pretrained(made)
    return str(made)


@pytest.fixture(scope="module")
def pipe(folder):
    return dovetail.pipeline("mask-generation", folder)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return painted(integers, "scene", 40, 30)


@pytest.fixture(scope="module")
def high(pipe, picture) -> float:
    """A logit that a tenth of the pixels of a mask exceed, so that masks end within the picture."""
    inputs = pipe.image_processor(picture, return_tensors="pt")
    with torch.no_grad():
        points = torch.tensor([[[[10.0, 10.0]]]])
        masks = pipe.model(pixel_values=inputs["pixel_values"], input_points=points).pred_masks
    return float(masks.flatten().quantile(0.9))


def same(one: dict, other: dict) -> bool:
    pairs = zip(one["masks"], other["masks"], strict=True)
    return torch.allclose(one["scores"], other["scores"], atol=1e-5) and all(
        (a == b).all() for a, b in pairs
    )


def test_masks_come_best_first_with_boxes_and_run_lengths(pipe, picture, high):
    settings = {"points_per_crop": 4, "mask_threshold": high, **LOOSE}
    plain = pipe(picture, **settings)
    assert list(plain) == ["masks", "scores"]
    assert len(plain["masks"]) > 3
    assert plain["masks"][0].shape == (30, 40)
    assert (plain["scores"].diff() <= 0).all()
    full = pipe(picture, output_rle_mask=True, output_bboxes_mask=True, **settings)
    assert same(plain, full)
    for mask, lengths, box in zip(
        full["masks"], full["rle_mask"], full["bounding_boxes"].tolist(), strict=True
    ):
        assert sum(lengths["counts"]) == mask.size
        assert sum(lengths["counts"][1::2]) == mask.sum()
        if mask.any():
            rows, columns = mask.nonzero()
            assert box == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_points_and_pictures_in_batches_change_nothing(pipe, picture, high):
    settings = {"points_per_crop": 4, "mask_threshold": high, **LOOSE}
    other = painted(integers, "street", 32, 32)
    expected = [pipe(image, **settings) for image in (picture, other)]
    for batches in (
        {"points_per_batch": 3},
        {"points_per_batch": 16},
        {"points_per_batch": 5, "batch_size": 3},
    ):
        found = pipe([picture, other], **batches, **settings)
        assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_one_point_finds_the_models_own_masks(pipe, picture, high):
    found = pipe(picture, points_per_crop=1, crops_nms_thresh=1.0, mask_threshold=high, **LOOSE)
    inputs = pipe.image_processor(picture, return_tensors="pt")
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    with torch.no_grad():
        points = torch.tensor([[[[16.0, 12.0]]]])  # the middle of 32 by 24 pixels
        output = pipe.model(pixel_values=inputs["pixel_values"], input_points=points)
    (masks,) = pipe.image_processor.post_process_masks(output.pred_masks, *sizes, high)
    own = [mask.numpy() for mask in masks[0]]
    assert found["masks"]
    for mask in found["masks"]:
        assert any((mask == candidate).all() for candidate in own)


def test_closer_looks_find_more(pipe, picture, high):
    settings = {"points_per_crop": 4, "mask_threshold": high, **LOOSE}
    whole = pipe(picture, **settings)
    closer = pipe(picture, crops_n_layers=1, crop_n_points_downscale_factor=2, **settings)
    assert len(closer["masks"]) > len(whole["masks"])
    assert {mask.shape for mask in closer["masks"]} == {(30, 40)}


@pytest.mark.parametrize("name", ["points_per_batch", "points_per_crop"])
def test_counts_are_positive(pipe, picture, name):
    with pytest.raises(PipelineError, match=f"{name}=0: it must be at least 1"):
        pipe(picture, **{name: 0})


def test_nothing_found_is_nothing(pipe, picture):
    found = pipe(picture, points_per_crop=2, pred_iou_thresh=1e6)
    assert found["masks"] == []
    assert len(found["scores"]) == 0


def test_masks_are_drawn_on_the_picture(folder, picture, high, tmp_path: Path, capsys):
    file, target = tmp_path / "scene.png", tmp_path / "masks.png"
    picture.save(file)
    words = ["run", "mask-generation", str(file), "-m", folder, "--save", str(target)]
    settings = {"points_per_crop": 4, "mask_threshold": high, **LOOSE}
    arguments = [word for name, value in settings.items() for word in ("-a", f"{name}={value}")]
    assert execute([*words, *arguments]) == 0
    with Image.open(target) as drawn:
        assert drawn.size == picture.size
        assert drawn.convert("RGB").tobytes() != picture.tobytes()
